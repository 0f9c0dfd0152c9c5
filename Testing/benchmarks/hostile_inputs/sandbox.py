"""One command in a process of its own, forked from this one, with limits; what it left is judged."""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Values in the headers of the inputs that nobody may read.
SECRETS = ("Doe", "Jane", "4711-0815")
#: What other libraries say to programmers.
_FOREIGN = re.compile(
    r"weights_only|Traceback|Warning|site-packages|\bITK\b|itk::|pydicom|torch\.|numpy|Errno|0x[0-9a-f]{6}"
)
#: Planned, bad usage, bad input, bad model or protocol, planned with an error.
_CLEAN_CODES = (0, 2, 3, 4, 5)
_PLANNED = (0, 5)

LIMIT_S = 20.0
#: Beyond what the process had before; a limit of the system stops it at several times that.
LIMIT_MB = 400.0
_HARD_LIMIT_BYTES = 3 * 1024**3


@dataclass(frozen=True)
class Outcome:
    """What a process left: exit code or signal, its output, seconds, and memory beyond the parent's in MB."""

    code: int
    signal: int
    timed_out: bool
    out: str
    err: str
    seconds: float
    memory_mb: float


def run_forked(arguments: Sequence[str], folder: Path) -> Outcome:
    """``autovolume`` with these arguments in ``folder``, which also takes its temporary files and output."""
    (folder / "tmp").mkdir()
    before_mb = _resident_mb()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _command(arguments, folder)
    timed_out, status, usage = _wait(child, started)
    code = os.waitstatus_to_exitcode(status)
    return Outcome(
        code=max(code, 0),
        signal=max(-code, 0),
        timed_out=timed_out,
        out=(folder / "tmp.out").read_text(encoding="utf-8", errors="replace"),
        err=(folder / "tmp.err").read_text(encoding="utf-8", errors="replace"),
        seconds=time.monotonic() - started,
        memory_mb=max(0.0, usage.ru_maxrss / 1024 - before_mb),
    )


def _wait(child: int, started: float) -> tuple[bool, int, resource.struct_rusage]:
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return False, status, usage
        if time.monotonic() - started > LIMIT_S:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return True, status, usage
        time.sleep(0.002)


def _command(arguments: Sequence[str], folder: Path) -> None:
    """In the child: never returns."""
    from AutoVolumeCalibrationLib.cli.main import entry_point

    code = 70
    try:
        for number, name in ((1, "tmp.out"), (2, "tmp.err")):
            os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY, 0o600), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
        resource.setrlimit(resource.RLIMIT_AS, (_address_bytes() + _HARD_LIMIT_BYTES,) * 2)
        os.chdir(folder)
        os.environ["TMPDIR"] = str(folder / "tmp")
        tempfile.tempdir = None
        sys.argv = ["autovolume", *arguments]
        entry_point()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 71
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def faults(outcome: Outcome, folder: Path, before: set[str], prints_report: bool) -> list[str]:
    """Why this was not a clean plan or a clean refusal; empty where it was.

    Args:
        before: the files in ``folder`` before the command ran.
        prints_report: the command prints its findings and ends with a code of its own, which is no refusal.
    """
    found = []
    if outcome.timed_out:
        found.append("time-out")
    elif outcome.signal:
        found.append(f"signal {outcome.signal}")
    elif "Traceback" in outcome.err or "internal error" in outcome.err:
        found.append("traceback")
    elif outcome.code not in _CLEAN_CODES:
        found.append(f"exit code {outcome.code}")
    if outcome.memory_mb > LIMIT_MB:
        found.append("memory")
    said = outcome.out + outcome.err
    if not found and (_FOREIGN.search(outcome.err) or any(secret in said for secret in SECRETS)):
        found.append("leaked words")
    if not said.replace("\n", "").replace("\t", "").isprintable():
        found.append("control characters")
    refused = outcome.code not in _PLANNED
    if not found and refused and not (prints_report and outcome.out):
        one_line = outcome.err.count("\n") == 1 and outcome.err.startswith("autovolume: ") and len(outcome.err) < 2000
        if not one_line or outcome.out:
            found.append("not one line")
    if _left_over(folder, before, refused):
        found.append("leftovers")
    return found


def _left_over(folder: Path, before: set[str], refused: bool) -> set[str]:
    new = files_below(folder) - before - {"tmp.out", "tmp.err"}
    if refused:
        return new
    return {name for name in new if not name.startswith("out/") or "/." in name}


def files_below(folder: Path) -> set[str]:
    """Relative names of all files."""
    return {os.path.relpath(os.path.join(root, name), folder) for root, _, names in os.walk(folder) for name in names}


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _address_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
