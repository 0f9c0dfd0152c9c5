"""``batch`` as real processes: interrupted, killed, in parts, on a cluster over TCP."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.core.storage.results import read_results
from benchmarks.batch_runs.studies import make_study
from child_processes import started
from command_line import MAIN_FILE, MIDDLE_SLICES, PLANNED_CODES, ROOT

pytest.importorskip("distributed", reason="needs dask.distributed (the extra cluster)")
psutil = pytest.importorskip("psutil")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.name == "nt", reason="signals of POSIX"),
]

#: ``autovolume`` that notes each study that it plans in the file named first.
NOTING = """
import sys
from AutoVolumeCalibrationLib.cli import batch_study, main
plan_study = batch_study.plan_study
def noted(request, scouts, folder):
    with open(sys.argv[1], "a") as file:
        file.write(folder.name + "\\n")
    return plan_study(request, scouts, folder)
batch_study.plan_study = noted
sys.exit(main.main(sys.argv[2:]))
"""


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder of six studies that can be planned."""
    for name in "abcdef":
        (tmp_path / "studies" / name).mkdir(parents=True)
        for path in MIDDLE_SLICES:
            shutil.copy(path, tmp_path / "studies" / name)
    return tmp_path / "studies"


@contextmanager
def batch(studies: Path, output: Path, *flags: str) -> Iterator[subprocess.Popen]:
    command = [sys.executable, str(MAIN_FILE), "batch", str(studies), "--output", str(output), *flags]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "preexec_fn": _hear_ctrl_c}
    with started(command, **options) as process:
        yield process


def _hear_ctrl_c() -> None:
    """Where the tests run in the background, children inherit that they ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def finished(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def rows(output: Path, name: str = "batch.csv") -> dict[str, dict[str, str]]:
    with suppress(FileNotFoundError), open(output / name, newline="", encoding="utf-8") as file:
        return {row["study"]: row for row in csv.DictReader(file)}
    return {}


def wait_until(true: Callable[[], object], seconds: float = 120.0) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def alive_in_session(leader: int) -> list[str]:
    """The command lines of the session that ``leader`` began, itself included."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            words = process.cmdline()  # none of a process that has just ended
            if words and os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(words))
    return found


def shown(out: str) -> dict[str, str]:
    """Study -> its message and the seconds that it took, from the lines of a batch."""
    found = re.findall(r"^\d+/\d+  (\w+): (.*\[[\d.]+ s)", out, re.MULTILINE)
    return dict(found)


def plan_of(folder: Path) -> dict[str, object]:
    content = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    return {key: content[key] for key in ("landmarks", "box", "prescription", "checks", "model")}


def test_ctrl_c_ends_all_processes_and_counts_what_was_done(studies, tmp_path):
    output = tmp_path / "out"
    with batch(studies, output, "--workers", "2") as process:
        wait_until(lambda: rows(output))
        os.killpg(process.pid, signal.SIGINT)
        code, _, err = finished(process)
        assert alive_in_session(process.pid) == []
    assert code == 130
    done = rows(output)
    assert err == f"autovolume: cancelled with {len(done)} of 6 studies done. --resume goes on\n"
    assert 1 <= len(done) < 6
    assert list((output / ".batch").rglob("*.claim")) == []
    assert {path.name for path in output.iterdir() if path.is_dir()} - {".batch"} >= set(done)
    for path in (output / ".batch").rglob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["attempts"] == 0


def test_ctrl_c_while_the_workers_start_is_a_cancel_in_one_line(studies, tmp_path):
    with batch(studies, tmp_path / "out", "--workers", "2") as process:
        wait_until(lambda: len(psutil.Process(process.pid).children(recursive=True)) > 2)
        os.killpg(process.pid, signal.SIGINT)
        code, _, err = finished(process)
        assert alive_in_session(process.pid) == []
    assert (code, err) == (130, "autovolume: cancelled with 0 of 6 studies done. --resume goes on\n")
    assert not (tmp_path / "out").exists()


def test_a_batch_that_is_killed_leaves_nothing_running_and_is_resumed(studies, tmp_path):
    output = tmp_path / "out"
    with batch(studies, output, "--workers", "1") as process:
        wait_until(lambda: rows(output))
        assert len(alive_in_session(process.pid)) > 1
        process.kill()
        process.wait(timeout=10)
        wait_until(lambda: not alive_in_session(process.pid), 30)
    done = rows(output)
    assert 1 <= len(done) < 6
    before = {name: (output / name / "calibration.json").read_bytes() for name in done}
    with batch(studies, output, "--workers", "0", "--resume") as process:
        code, out, err = finished(process)
    assert (code in PLANNED_CODES, err) == (True, "")
    assert set(rows(output)) == set("abcdef")
    assert f"{len(done)} of 6 studies have these results already" in out
    assert sum("/" in line.split()[0] for line in out.splitlines()) <= 6 - len(done)
    assert {name: (output / name / "calibration.json").read_bytes() for name in done} == before
    for name in "abcdef":
        read_results(output / name)
    assert [path for path in output.rglob("*") if ".partial" in path.name] == []


def test_parts_of_a_batch_share_a_folder(studies, tmp_path):
    output = tmp_path / "out"
    flags = ["--workers", "0", "--shard"]
    with batch(studies, output, *flags, "1/2") as one, batch(studies, output, *flags, "2/2") as two:
        codes = [finished(two)[0], finished(one)[0]]
    assert set(codes) <= PLANNED_CODES
    assert list(rows(output, "batch-1of2.csv")) == ["a", "c", "e"]
    assert list(rows(output, "batch-2of2.csv")) == ["b", "d", "f"]
    assert list(rows(output)) == list("abcdef")


def test_the_same_part_twice_at_once_plans_each_study_once(studies, tmp_path):
    words = ["batch", str(studies), "--output", str(tmp_path / "out"), "--workers", "0", "--shard", "1/2", "--resume"]
    command = [sys.executable, "-c", NOTING, str(tmp_path / "planned.txt"), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "AutoVolumeCalibration")}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    with started(command, **options) as one, started(command, **options) as other:
        (code, out, err), (other_code, other_out, other_err) = finished(one), finished(other)
    assert (code in PLANNED_CODES, err, other_code, other_err) == (True, "", code, "")
    assert sorted((tmp_path / "planned.txt").read_text(encoding="utf-8").split()) == ["a", "c", "e"]
    assert set(shown(out)) == {"a", "c", "e"}
    assert shown(out) == shown(other_out)


def test_a_part_that_is_killed_is_taken_over(studies, tmp_path):
    output = tmp_path / "out"
    flags = ["--workers", "0", "--shard", "1/2", "--resume"]
    with batch(studies, output, *flags) as process:
        wait_until(lambda: list((output / ".batch").rglob("*.claim")))
        process.kill()
        process.wait(timeout=10)
    assert len(list((output / ".batch").rglob("*.claim"))) == 1
    with batch(studies, output, *flags) as process:
        code, out, err = finished(process)
    assert (code in PLANNED_CODES, err) == (True, "")
    assert set(shown(out)) == {"a", "c", "e"}
    assert list((output / ".batch").rglob("*.claim")) == []


def test_a_cluster_over_tcp_gives_the_same_plans(tmp_path):
    studies = tmp_path / "studies"
    names = [make_study(studies, number).name for number in range(3)]
    dask = [sys.executable, "-m", "dask"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "AutoVolumeCalibration"), "OMP_NUM_THREADS": "1"}
    options = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": environment, "cwd": tmp_path}
    file = tmp_path / "scheduler.json"
    scheduler = [
        *dask,
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        str(file),
    ]
    worker = [*dask, "worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard"]
    with started(scheduler, **options):
        wait_until(lambda: file.exists() and file.stat().st_size)
        address = re.search(r"tcp://[\d.:]+", file.read_text(encoding="utf-8"))[0]
        with started(worker, **options), started(worker, **options):
            with batch(studies, tmp_path / "there", "--scheduler", address) as process:
                code, _, err = finished(process)
            assert (code in PLANNED_CODES, err) == (True, "")
    with batch(studies, tmp_path / "here", "--workers", "2") as process:
        assert finished(process)[0] == code
    there, here = ([plan_of(tmp_path / where / name) for name in names] for where in ("there", "here"))
    assert there == here
    assert len({str(plan["box"]) for plan in there}) == len(names)
