"""A training in a separate process: start it, query it, stop it, attach to it again later.

Nothing is piped: the process writes to files in its run folder, so that it goes on when the program that started it
ends. While it is alive it holds a lock on one of them, by which any program can see that it is running. (On Windows,
where locks are not inherited, an open file cannot be renamed: this is tested instead.)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

import AutoVolumeCalibrationLib
from AutoVolumeCalibrationLib.core.errors import UsageError

from .run_folder import BUNDLE_FOLDER, STOP_FILE

#: Files in the run's folder that the process writes to: standard output and standard error.
OUTPUT_FILE, ERRORS_FILE = "output.txt", "errors.txt"

CANCELLED_CODE = 130
_PREFIX, _INTERNAL_ERROR = "autovolume: ", "internal error"
#: How earlier versions of the command line called it: their run folders can still be opened.
_INTERNAL_ERROR_BEFORE = "this is a fault of the program"

#: Threads that wait without spinning, so that training leaves processor time to the window.
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


class Outcome(Enum):
    """State of a process."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


def command_line(python: str | Path, arguments: Sequence[str]) -> list[str]:
    """``autovolume ARGUMENTS`` with this Python: as a script, which also works where the package is not on the path."""
    script = Path(AutoVolumeCalibrationLib.__file__).parent / "cli" / "main.py"
    return [str(python), str(script), *arguments]


def is_running(folder: Path) -> bool:
    """Whether a process that any program started in this run folder is alive."""
    path = folder / ERRORS_FILE
    if not path.exists():
        return False
    return _cannot_be_renamed(path) if os.name == "nt" else _is_locked(path)


class RunProcess:
    """The process of the run in ``folder``: begun by ``start``, or attached to (exit code unknown)."""

    def __init__(self, folder: Path) -> None:
        """Attach to the process that runs, or ran, in the folder."""
        self.folder = folder
        self._process: subprocess.Popen | None = None
        self._asked_to_stop = False

    @classmethod
    def start(cls, folder: Path, command: Sequence[str]) -> RunProcess:
        """Run ``command`` with its output in ``folder``, which is made.

        Raises:
            UsageError: a process runs there already, the folder cannot be written, or the program does not exist.
        """
        if is_running(folder):
            raise UsageError(
                "a process is at work here", source=str(folder), remedy="Stop it, or press Resume to watch it."
            )
        run = cls(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / STOP_FILE).unlink(missing_ok=True)
            with open(folder / OUTPUT_FILE, "wb") as output, open(folder / ERRORS_FILE, "wb") as errors:
                if os.name != "nt":
                    _lock(errors.fileno())
                run._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    env={**os.environ, **ENVIRONMENT},
                    **_detached(),
                )
        except OSError as error:
            path = str(error.filename or folder)
            raise UsageError(
                f"cannot be started ({error.strerror or error})", source=path, remedy="Choose another output folder."
            ) from error
        return run

    def outcome(self) -> Outcome:
        """The present state. A run that the user stopped has not failed, whatever its exit code."""
        if self._process is None:
            return self._outcome_of_files()
        code = self._process.poll()
        # PythonSlicer only launches another process, which may outlive it.
        if code is None or is_running(self.folder):
            return Outcome.RUNNING
        if code == 0:
            return Outcome.FINISHED
        return Outcome.STOPPED if self._asked_to_stop or code == CANCELLED_CODE else Outcome.FAILED

    def stop(self) -> None:
        """Ask it to end with a checkpoint.

        The run checks for the file ``stop`` after each step, on every system and also when another program started it.
        A signal reaches a run before its first step, too; Windows has none that a program can handle.
        """
        self._asked_to_stop = True
        (self.folder / STOP_FILE).touch()
        if self._process is not None and os.name != "nt":
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once: work after the last checkpoint is lost. Only for a process started here."""
        self._asked_to_stop = True
        if self._process is None:
            return
        if os.name == "nt":
            self._process.kill()
            return
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.killpg(self._process.pid, signal.SIGKILL)

    @property
    def can_kill(self) -> bool:
        return self._process is not None

    def error_text(self) -> str:
        """Why it failed: its last error line; for an internal error also the line that names the exception."""
        lines = self.tail(ERRORS_FILE, 2).splitlines()
        if lines and (_INTERNAL_ERROR in lines[-1].lower() or _INTERNAL_ERROR_BEFORE in lines[-1]):
            return f"{_INTERNAL_ERROR} ({lines[0]}), please report the log"
        if lines:
            return lines[-1].removeprefix(_PREFIX)
        code = self._process.returncode if self._process else None
        if code is not None and code < 0:
            return f"the system ended it (signal {-code}); it may have run out of memory"
        return f"it ended with code {code} and no error message"

    def tail(self, name: str, lines: int) -> str:
        """The last lines of one of its files that are not empty; "" where there is none."""
        try:
            with open(self.folder / name, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 200 * lines))
                text = file.read().decode("utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])

    def _outcome_of_files(self) -> Outcome:
        if is_running(self.folder):
            return Outcome.RUNNING
        if (self.folder / BUNDLE_FOLDER).is_dir():
            return Outcome.FINISHED
        asked = (self.folder / STOP_FILE).exists()
        return Outcome.STOPPED if asked or not self.tail(ERRORS_FILE, 1) else Outcome.FAILED


def _detached() -> dict[str, Any]:
    """Options that shield the process from Ctrl-C in the parent's terminal and from the parent's end."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


if sys.platform != "win32":
    import fcntl

    def _lock(descriptor: int) -> None:
        """Lock the open file; processes that inherit it share the lock until the last of them closes it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _is_locked(path: Path) -> bool:
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def _cannot_be_renamed(path: Path) -> bool:
    aside = path.with_suffix(".asked")
    try:
        path.rename(aside)
    except PermissionError:
        return True
    aside.rename(path)
    return False
