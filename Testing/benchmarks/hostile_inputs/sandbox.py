"""Commands in processes forked from this one, with limits of time and memory; what each left is judged."""

from __future__ import annotations

import json
import os
import re
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from AutoVolumeCalibrationLib.core.storage.results import PREVIOUS_FOLDER

#: Values in the headers of the inputs that nobody may read.
SECRETS = ("Doe", "Jane", "4711-0815")
#: What other libraries say to programmers.
_FOREIGN = re.compile(
    r"weights_only|Traceback|Warning|site-packages|\bITK\b|itk::|pydicom|torch\.|numpy|Errno|0x[0-9a-f]{6}"
)
#: Planned, bad usage, bad input, bad model or protocol, planned with an error.
_CLEAN_CODES = (0, 2, 3, 4, 5)
_PLANNED = (0, 5)

LIMIT_S, JOBS_PER_PROCESS = 20.0, 40
#: Beyond what the process had before; a limit of the system stops it at several times that.
LIMIT_MB = 400.0
_HARD_LIMIT_BYTES = 3 * 1024**3


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code or signal, its output, seconds, and its peak of memory in MB."""

    code: int
    signal: int
    timed_out: bool
    out: str
    err: str
    seconds: float
    memory_mb: float


#: Writes the input of a job and returns the arguments of its command.
Prepare = Callable[[str], Sequence[str]]
#: Judges the outcome of a job and cleans up after it.
Finish = Callable[[str, Outcome], list[str]]


def run_all(
    jobs: Sequence[str], folder: Path, prepare: Prepare, finish: Finish
) -> Iterator[tuple[str, Outcome, list[str]]]:
    """(job, outcome, faults) of each job, many in one forked process; where that dies or hangs, the next goes on.

    Args:
        folder: where ``prepare`` writes each input and the command runs.
        finish: called in the forked process, or here where that died.
    """
    left = list(jobs)
    while left:
        for job, outcome, found in _one_process(left[:JOBS_PER_PROCESS], folder, prepare, finish):
            left.remove(job)
            yield job, outcome, found


def _one_process(
    jobs: Sequence[str], folder: Path, prepare: Prepare, finish: Finish
) -> Iterator[tuple[str, Outcome, list[str]]]:
    """The outcomes of the jobs up to the one that ended the process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(jobs, folder, prepare, finish, writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as answers:
        for job in jobs:
            answered = select.select([answers], [], [], LIMIT_S)[0]
            line = answers.readline() if answered else ""
            if not line:
                os.kill(child, signal.SIGKILL)  # where it has died already, this changes nothing
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                out, err = _written(folder)
                outcome = Outcome(0, max(-code, 0), not answered, out, err, LIMIT_S, 0.0)
                yield job, outcome, finish(job, outcome)
                return
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(f"{job}: {answer['error']}")
            yield job, Outcome(**answer["outcome"]), answer["faults"]
    os.waitpid(child, 0)


def _work(jobs: Sequence[str], folder: Path, prepare: Prepare, finish: Finish, writing: int) -> None:
    """In the forked process: never returns."""
    resource.setrlimit(resource.RLIMIT_AS, (_address_bytes() + _HARD_LIMIT_BYTES,) * 2)
    try:
        with os.fdopen(writing, "w", encoding="utf-8") as answers:
            for job in jobs:
                try:
                    arguments = prepare(job)
                except Exception:
                    answers.write(json.dumps({"error": traceback.format_exc()}) + "\n")
                    raise
                outcome = _outcome(arguments, folder)
                answers.write(json.dumps({"outcome": asdict(outcome), "faults": finish(job, outcome)}) + "\n")
                answers.flush()
    finally:
        os._exit(0)


def _outcome(arguments: Sequence[str], folder: Path) -> Outcome:
    """``autovolume`` with these arguments in ``folder``, which also takes its temporary files and output."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak of the memory counts anew
    before_mb, started = _memory_mb("VmRSS"), time.monotonic()
    for number, name in ((1, "tmp.out"), (2, "tmp.err")):
        written = os.open(folder / name, os.O_CREAT | os.O_WRONLY, 0o600)
        os.dup2(written, number)
        os.close(written)
    os.chdir(folder)
    code = _exit_code(arguments, folder)
    os.chdir("/")
    out, err = _written(folder)
    return Outcome(code, 0, False, out, err, time.monotonic() - started, _memory_mb("VmHWM") - before_mb)


def _exit_code(arguments: Sequence[str], folder: Path) -> int:
    from AutoVolumeCalibrationLib.cli.main import entry_point

    (folder / "tmp").mkdir()
    os.environ["TMPDIR"], tempfile.tempdir = str(folder / "tmp"), None
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    sys.argv = ["autovolume", *arguments]
    try:
        entry_point()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 71
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _written(folder: Path) -> tuple[str, str]:
    """What the command in ``folder`` printed."""
    files = (folder / name for name in ("tmp.out", "tmp.err"))
    out, err = (path.read_text(encoding="utf-8", errors="replace") if path.exists() else "" for path in files)
    return out, err


def faults(outcome: Outcome, folder: Path, sound: Path, prints_report: bool) -> list[str]:
    """Why this was not a clean plan or a clean refusal; empty where it was.

    Args:
        folder, sound: where the command ran; the input that was damaged there.
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
    if _left_over(folder, sound, refused and not prints_report):
        found.append("leftovers")
    return found


def _left_over(folder: Path, sound: Path, refused: bool) -> set[str]:
    """Files outside the output of a plan, and unfinished ones; a damaged input may have another name."""
    new = _files_below(folder) - _files_below(sound) - {"tmp.out", "tmp.err"}
    outside = {name for name in new if name.startswith("tmp/") or "partial" in name}
    # A refused run moves the plan that was there into a folder of its own.
    aside = f"out/{PREVIOUS_FOLDER}/"
    return outside | {name for name in new if refused and name.startswith("out/") and not name.startswith(aside)}


def _files_below(folder: Path) -> set[str]:
    """Relative names of all files."""
    return {os.path.relpath(os.path.join(root, name), folder) for root, _, names in os.walk(folder) for name in names}


def _memory_mb(field: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (the peak) of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def _address_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
