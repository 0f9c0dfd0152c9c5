"""A training in its own process: started, stopped, met again; on a script that behaves as a training does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.core.errors import UsageError
from LandmarkTrainingLib.core.runs.run_process import (
    ERRORS_FILE,
    OUTPUT_FILE,
    Outcome,
    RunProcess,
    command_line,
    is_running,
)
from LandmarkTrainingLib.core.runs.run_watch import RunWatch

SCRIPT = Path(__file__).resolve().parents[1] / "fake_training.py"


def start(folder: Path, *arguments: str) -> RunProcess:
    return RunProcess.start(folder, [sys.executable, str(SCRIPT), "train", "--output", str(folder), *arguments])


def wait(condition, timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.01)


def wait_for_end(run: RunProcess) -> Outcome:
    wait(lambda: run.outcome() is not Outcome.RUNNING)
    return run.outcome()


@pytest.fixture
def slow(tmp_path):
    """A run at work that never ends by itself."""
    run = start(tmp_path / "run", "--slow")
    wait(lambda: RunWatch(run.folder).read())
    yield run
    run.kill()
    wait_for_end(run)


def test_a_run_that_ends_well_is_finished(tmp_path):
    run = start(tmp_path / "run")
    assert run.outcome() is Outcome.RUNNING
    assert wait_for_end(run) is Outcome.FINISHED
    assert run.tail(OUTPUT_FILE, 1) == "step 5 of 5"
    assert run.tail(OUTPUT_FILE, 2) == "step 4 of 5\nstep 5 of 5"
    assert RunProcess(run.folder).outcome() is Outcome.FINISHED


def test_a_failure_tells_the_last_line_of_its_errors(tmp_path):
    run = start(tmp_path / "run", "--set", "seed=13")
    assert wait_for_end(run) is Outcome.FAILED
    assert run.error_text() == "set/studies/a: the scouts are damaged. Restore them."
    met = RunProcess(run.folder)
    assert met.outcome() is Outcome.FAILED
    assert met.error_text() == run.error_text()


def test_what_a_person_stops_has_not_failed_and_can_be_resumed(slow):
    slow.stop()
    assert wait_for_end(slow) is Outcome.STOPPED
    assert RunProcess(slow.folder).outcome() is Outcome.STOPPED
    watch = RunWatch(slow.folder)
    watch.read()
    last = watch.rows[-1]["step"]
    again = start(slow.folder, "--resume", "--slow")
    wait(lambda: watch.read())
    assert watch.rows[-1]["step"] > last
    again.stop()
    assert wait_for_end(again) is Outcome.STOPPED


def test_another_program_sees_a_run_at_work_and_can_stop_it(slow):
    assert is_running(slow.folder)
    met = RunProcess(slow.folder)
    assert met.outcome() is Outcome.RUNNING
    assert not met.can_kill
    met.stop()
    wait(lambda: met.outcome() is not Outcome.RUNNING)
    assert met.outcome() is Outcome.STOPPED
    assert slow.outcome() is Outcome.STOPPED  # exit code 130, although this object did not ask
    assert not is_running(slow.folder)


def test_a_run_outlives_the_program_that_started_it(tmp_path):
    folder = tmp_path / "run"
    code = (
        "import sys; from pathlib import Path; from LandmarkTrainingLib.core.runs.run_process import RunProcess; "
        "RunProcess.start(Path(sys.argv[2]), [sys.executable, sys.argv[1], 'train', '--slow', '--output', sys.argv[2]])"
    )
    path = os.pathsep.join(sys.path)
    arguments = [sys.executable, "-c", code, str(SCRIPT), str(folder)]
    subprocess.run(arguments, check=True, env={**os.environ, "PYTHONPATH": path}, timeout=60)
    met, watch = RunProcess(folder), RunWatch(folder)
    wait(lambda: watch.read())
    assert met.outcome() is Outcome.RUNNING
    met.stop()
    wait(lambda: met.outcome() is Outcome.STOPPED)


def test_two_processes_never_work_in_one_folder(slow):
    with pytest.raises(UsageError, match="at work here"):
        start(slow.folder)
    assert slow.outcome() is Outcome.RUNNING


def test_a_killed_run_is_stopped(slow):
    slow.kill()
    assert wait_for_end(slow) is Outcome.STOPPED


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("end", [RunProcess.stop, RunProcess.kill])
def test_what_a_launcher_starts_is_stopped_too(tmp_path, end):
    folder = tmp_path / "run"
    words = [sys.executable, str(SCRIPT), "train", "--slow", "--output", str(folder)]
    run = RunProcess.start(folder, ["sh", "-c", f"{' '.join(words)} & wait"])
    wait(lambda: RunWatch(folder).read())
    end(run)
    assert wait_for_end(run) is Outcome.STOPPED
    assert not is_running(folder)
    lines = (folder / "log.jsonl").read_text(encoding="utf-8")
    time.sleep(0.2)
    assert (folder / "log.jsonl").read_text(encoding="utf-8") == lines


def test_a_death_without_a_word_is_explained(tmp_path):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    run = RunProcess.start(tmp_path, [sys.executable, "-c", code])
    assert wait_for_end(run) is Outcome.FAILED
    assert "memory" in run.error_text()


def test_a_fault_of_the_program_is_named(tmp_path):
    code = (
        "import sys; from AutoVolumeCalibrationLib.cli import main as cli\n"
        "sys.argv[1:] = ['protocols']; cli.main = lambda _arguments: 1 / 0; cli.entry_point()"
    )
    path = os.pathsep.join(sys.path)
    run = RunProcess.start(
        tmp_path, [sys.executable, "-c", f"import sys; sys.path[:0] = {path.split(os.pathsep)!r}; {code}"]
    )
    assert wait_for_end(run) is Outcome.FAILED
    assert "internal error (ZeroDivisionError: division by zero)" in run.error_text()


@pytest.mark.parametrize(("folder", "program"), [("run", "no-such-python"), ("file/run", sys.executable)])
def test_what_cannot_be_started_is_a_usage_error(tmp_path, folder, program):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be started"):
        RunProcess.start(tmp_path / folder, [program])


def test_the_real_command_line_starts_as_a_script(tmp_path):
    run = RunProcess.start(tmp_path, command_line(sys.executable, ["--version"]))
    assert wait_for_end(run) is Outcome.FINISHED
    assert run.tail(OUTPUT_FILE, 1).startswith("autovolume ")
    run = RunProcess.start(tmp_path, command_line(sys.executable, ["train"]))
    assert wait_for_end(run) is Outcome.FAILED
    assert "--output" in run.error_text()
    assert not run.error_text().startswith("autovolume")


def test_the_processors_are_not_spun_on(tmp_path):
    code = "import os; print(os.environ['OMP_WAIT_POLICY'])"
    run = RunProcess.start(tmp_path, [sys.executable, "-c", code])
    wait_for_end(run)
    assert run.tail(OUTPUT_FILE, 1) == "PASSIVE"


def test_a_folder_without_a_run_has_none(tmp_path):
    assert RunProcess(tmp_path).outcome() is Outcome.STOPPED
    assert RunProcess(tmp_path).tail(ERRORS_FILE, 3) == ""
