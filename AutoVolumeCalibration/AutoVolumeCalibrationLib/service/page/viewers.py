"""Plans that are open in the browser, each by ``autovolume view`` in a process of its own: one process is one scene."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

from ...core.errors import UsageError

#: Of the extra ``browser``.
_PACKAGES = ("slicer", "trame", "trame_rca")

_COMMAND = (sys.executable, str(Path(__file__).resolve().parents[2] / "cli" / "main.py"), "view")

#: Each takes about 0.5 GB.
MOST_OPEN = 3
#: A viewer ends when no window has shown its plan for so long; one that does not begin in time is stopped.
CLOSE_AFTER_S, _START_S, _END_S = 60, 60.0, 10.0


def can_view() -> bool:
    """Whether the extra ``browser`` is installed."""
    return all(find_spec(name) is not None for name in _PACKAGES)


@dataclass(frozen=True)
class _Viewer:
    process: subprocess.Popen[str]
    address: str


class Viewers:
    """The plans that are open. Called from several threads.

    Args:
        command: that shows the plan whose folder follows it, and prints its address.
    """

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        self._command = tuple(command)
        self._open: dict[Path, _Viewer] = {}
        self._lock = threading.Lock()

    def address_of(self, plan: Path) -> str:
        """The address of a plan, which is opened unless it is open: it takes seconds.

        Raises:
            UsageError: too many plans are open, or the command failed.
        """
        with self._lock:
            self._open = {folder: one for folder, one in self._open.items() if one.process.poll() is None}
            if plan not in self._open:
                if len(self._open) >= MOST_OPEN:
                    remedy = f"Close the window of one, and try again after {CLOSE_AFTER_S} seconds."
                    raise UsageError(f"{MOST_OPEN} plans are open already", remedy=remedy)
                self._open[plan] = _started([*self._command, str(plan.absolute()), "--close-after", str(CLOSE_AFTER_S)])
            return self._open[plan].address

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            for one in self._open.values():
                one.process.terminate()
            for one in self._open.values():
                _ended(one.process)
            self._open = {}


def _started(command: Sequence[str]) -> _Viewer:
    # A pipe that nobody reads would stop a process that writes much; Ctrl-C at the service is for the service alone.
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as problems:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=problems,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        address = _printed_address(process)
        if address:
            return _Viewer(process, address)
        process.kill()
        _ended(process)
        problems.seek(0)
        lines = [line.strip() for line in problems if line.strip()]
    reason = lines[-1] if lines else f"it printed no address within {_START_S:.0f} s"
    raise UsageError(f"the plan cannot be opened: {reason}")


def _printed_address(process: subprocess.Popen[str]) -> str:
    """The address that the command prints; empty where it ends without, or takes too long."""
    limit = threading.Timer(_START_S, process.kill)
    limit.start()
    try:
        assert process.stdout is not None
        return next((line.strip() for line in process.stdout if line.strip().startswith("http://")), "")
    finally:
        limit.cancel()


def _ended(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
