"""The engine: each study once, on workers that die, hang or grow; without dask the same in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest

from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, Cancelled, UsageError
from AutoVolumeCalibrationLib.service.engine import attempt as attempts
from AutoVolumeCalibrationLib.service.engine import processes, workers
from AutoVolumeCalibrationLib.service.engine.claims import claimed
from AutoVolumeCalibrationLib.service.engine.limits import Limits
from AutoVolumeCalibrationLib.service.engine.outcome import Outcome
from AutoVolumeCalibrationLib.service.engine.records import MOST_ATTEMPTS, Record, Records
from AutoVolumeCalibrationLib.service.engine.running import run
from AutoVolumeCalibrationLib.service.engine.workers import Workers
from engine_work import ToyWork, begun, toy_jobs


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Workers]:
    """A cluster of two processes, whose workers are started again when a test has ended them."""
    pytest.importorskip("distributed", reason="needs dask.distributed (the extra cluster)")
    with workers.local_cluster(2) as cluster:
        yield cluster


@pytest.fixture
def here() -> Iterator[Workers]:
    with workers.in_this_process() as one:
        yield one


def outcomes(jobs: list[attempts.Job], workers: Workers) -> dict[str, Outcome]:
    with closing(run(jobs, workers)) as results:
        return {outcome.study: outcome for outcome in results}


@pytest.mark.slow
def test_every_study_is_planned_once_in_other_processes(two_workers, tmp_path):
    studies = [f"plan {number}" for number in range(12)]
    found = outcomes(toy_jobs(tmp_path, *studies), two_workers)
    assert sorted(found) == sorted(studies)
    assert sorted(begun(tmp_path)) == sorted(studies)
    assert all(outcome.exit_code == 0 and outcome.numbers == {"slices": 3} for outcome in found.values())
    assert f"by {os.getpid()}" not in {outcome.message for outcome in found.values()}


@pytest.mark.slow
def test_any_failure_of_a_study_is_its_outcome(two_workers, here, tmp_path):
    for name, cluster in {"there": two_workers, "here": here}.items():
        folder = tmp_path / name
        folder.mkdir()
        found = outcomes(toy_jobs(folder, "refuse 1", "fail 1", "plan 1"), cluster)
        assert {name: outcome.exit_code for name, outcome in found.items()} == {"refuse 1": 3, "fail 1": 1, "plan 1": 0}
        assert list(folder.rglob("*.stacks.txt")) == []
        assert found["refuse 1"].message == "InputError: cannot be read"
        assert found["fail 1"].message == "OSError: a fault"


@pytest.mark.slow
def test_a_study_that_kills_its_worker_is_named_counted_and_not_met_again(two_workers, tmp_path):
    jobs = toy_jobs(tmp_path, "plan 1", "kill 1", "plan 2", "plan 3")
    found = outcomes(jobs, two_workers)
    assert {name: outcome.exit_code for name, outcome in found.items()} == {
        "plan 1": 0,
        "kill 1": 3,
        "plan 2": 0,
        "plan 3": 0,
    }
    assert f"the worker died {MOST_ATTEMPTS} times" in found["kill 1"].message
    assert begun(tmp_path).count("kill 1") == MOST_ATTEMPTS
    again = outcomes(jobs[1:2], two_workers)
    assert again["kill 1"].message == found["kill 1"].message
    assert begun(tmp_path).count("kill 1") == MOST_ATTEMPTS
    Records(jobs[1].records).forget("kill 1")
    outcomes(jobs[1:2], two_workers)
    assert begun(tmp_path).count("kill 1") == 2 * MOST_ATTEMPTS


@pytest.mark.slow
def test_a_study_that_hangs_is_ended_and_not_begun_again_with_that_limit(two_workers, tmp_path):
    limits = Limits(seconds=1.0)
    started = time.monotonic()
    found = outcomes(toy_jobs(tmp_path, "hang 1", "plan 1", limits=limits), two_workers)
    assert time.monotonic() - started < 60
    assert "stopped: it took longer than 1 s" in found["hang 1"].message
    assert found["plan 1"].exit_code == 0
    assert outcomes(toy_jobs(tmp_path, "hang 1", limits=limits), two_workers) == {"hang 1": found["hang 1"]}
    assert begun(tmp_path).count("hang 1") == 1
    (stacks,) = (tmp_path / "records").rglob("*.last.txt")
    assert "_hang" in stacks.read_text(encoding="utf-8")


@pytest.mark.slow
def test_loading_the_model_takes_nothing_of_the_time_of_a_study(two_workers, tmp_path):
    jobs = toy_jobs(tmp_path, "plan 1", "plan 2", limits=Limits(seconds=1.0))
    found = outcomes([replace(job, prepare=partial(time.sleep, 1.5)) for job in jobs], two_workers)
    assert [found[job.work.study].exit_code for job in jobs] == [0, 0]


def test_a_model_that_cannot_be_loaded_is_the_outcome_of_each_study(here, tmp_path):
    jobs = [replace(job, prepare=partial(os.stat, tmp_path / "none")) for job in toy_jobs(tmp_path, "plan 1", "plan 2")]
    found = outcomes(jobs, here)
    assert {outcome.message.partition(":")[0] for outcome in found.values()} == {"FileNotFoundError"}
    assert (len(found), begun(tmp_path)) == (2, [])


def test_workers_share_the_cores_and_the_memory_that_this_process_may_use(monkeypatch):
    pytest.importorskip("distributed", reason="needs dask.distributed (the extra cluster)")
    monkeypatch.setattr("dask.system.CPU_COUNT", 6)  # of 64, as in a job of a cluster
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", 12 * 2**30)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [processes.environment(count)["OMP_NUM_THREADS"] for count in (1, 4, 9)] == ["6", "1", "1"]
    assert processes.memory_share_gb(4) == 3.0
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert processes.environment(1)["OMP_NUM_THREADS"] == "2"


@pytest.mark.slow
def test_a_study_that_needs_too_much_memory_is_ended(two_workers, tmp_path):
    found = outcomes(toy_jobs(tmp_path, "grow 1", "plan 1", limits=Limits(memory_gb=0.6)), two_workers)
    assert "stopped: it needed more than 0.6 GB of memory" in found["grow 1"].message
    assert found["plan 1"].exit_code == 0
    assert begun(tmp_path).count("grow 1") == 1


@pytest.mark.slow
def test_a_batch_that_ends_early_leaves_no_study_running_and_blames_none(tmp_path):
    pytest.importorskip("distributed", reason="needs dask.distributed (the extra cluster)")
    psutil = pytest.importorskip("psutil")
    jobs = toy_jobs(tmp_path, *(f"wait {number}" for number in range(20)))
    before = set(psutil.Process().children(recursive=True))
    with workers.local_cluster(1) as cluster, closing(run(jobs, cluster)) as results:
        next(results)
    left = set(psutil.Process().children(recursive=True)) - before
    assert [one for one in left if "resource_tracker" not in str(one.cmdline())] == []
    assert len(begun(tmp_path)) < len(jobs)
    records = Records(jobs[0].records)
    assert [records.read(job.work.study).attempts for job in jobs] == [0] * len(jobs)
    assert list(jobs[0].records.rglob("*.claim")) == []


def test_a_cancelled_study_in_this_process_does_not_count(here, tmp_path, monkeypatch):
    monkeypatch.setattr(ToyWork, "_plan", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    (job,) = toy_jobs(tmp_path, "plan 1")
    with pytest.raises(KeyboardInterrupt):
        outcomes([job], here)
    assert Records(job.records).read("plan 1").attempts == 0
    monkeypatch.setattr(ToyWork, "_plan", lambda self: (_ for _ in ()).throw(Cancelled))
    with pytest.raises(Cancelled):
        outcomes([job], here)
    assert Records(job.records).read("plan 1").attempts == 0


def test_a_study_that_another_process_plans_is_left_to_it_and_its_outcome_taken(here, tmp_path, monkeypatch):
    (job,) = toy_jobs(tmp_path, "plan 1")
    records = Records(job.records)
    elsewhere = Outcome("plan 1", 0, "by another", {"slices": 7}, 1.0)
    with claimed(records.path("plan 1", "claim")) as ours:
        assert ours
        assert attempts.attempt(job) is None
        records.write("plan 1", Record("key").begun().ended(elsewhere))
    assert outcomes([job], here) == {"plan 1": elsewhere}
    assert begun(tmp_path) == []


def test_an_attempt_counts_for_the_same_request_and_scouts_only(here, tmp_path):
    (job,) = toy_jobs(tmp_path, "plan 1")
    Records(job.records).write("plan 1", Record("another key", attempts=MOST_ATTEMPTS))
    assert outcomes([job], here)["plan 1"].exit_code == 0


def test_a_record_that_cannot_be_written_is_the_outcome_of_its_study(here, tmp_path):
    (tmp_path / "records").write_text("a file")
    found = outcomes(toy_jobs(tmp_path, "plan 1", "plan 2"), here)
    assert {outcome.exit_code for outcome in found.values()} <= {1, 3}
    assert sorted(found) == ["plan 1", "plan 2"]


class _Client:
    """A dask client whose only worker is just being started again."""

    status = "running"

    def scheduler_info(self, n_workers: int) -> dict[str, object]:
        return {"workers": {}}

    def submit(self, *_arguments: object, pure: bool) -> Future:
        return Future()


def test_workers_that_had_nothing_to_do_for_long_may_start_again(monkeypatch):
    now = 0.0
    monkeypatch.setattr(workers.time, "monotonic", lambda: now)
    cluster = workers._workers_of(_Client(), 1, lambda: None)
    now = 2.0 * workers._ALONE_S
    cluster.submit(len, "study")
    cluster.check()
    now += 1.1 * workers._ALONE_S
    with pytest.raises(AutoVolumeError, match="the cluster has gone"):
        cluster.check()


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    pytest.importorskip("distributed", reason="needs dask.distributed (the extra cluster)")
    monkeypatch.setattr(workers, "_PATIENCE_S", 1)
    with (
        pytest.raises(UsageError, match="tcp://127.0.0.1:9: no dask scheduler answers"),
        workers.remote_cluster("tcp://127.0.0.1:9"),
    ):
        pass
