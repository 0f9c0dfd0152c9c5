"""The order in which studies are planned, and what a service that was killed lists afterwards."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.service.batch.resume import resolved
from AutoVolumeCalibrationLib.service.engine.limits import Limits
from AutoVolumeCalibrationLib.service.engine.outcome import Outcome
from AutoVolumeCalibrationLib.service.engine.records import Record, Records
from AutoVolumeCalibrationLib.service.engine.workers import in_this_process
from AutoVolumeCalibrationLib.service.node import planner as planners
from AutoVolumeCalibrationLib.service.node import serving
from AutoVolumeCalibrationLib.service.node.configuration import Configuration
from AutoVolumeCalibrationLib.service.node.planner import Planner, StudyWork
from AutoVolumeCalibrationLib.service.node.spool import PLANS, ReceivedStudy, Spool
from AutoVolumeCalibrationLib.service.planning import PlanRequest
from command_line import MIDDLE_SLICES
from service.peers import outcomes


@pytest.fixture
def planner(tmp_path: Path) -> Planner:
    request = resolved(PlanRequest("BrainAcPc"))
    return Planner(request, Limits(), tmp_path / "plans", Records(tmp_path / "records"), quiet_s=10.0)


def study(folder: Path, name: str, latest: float) -> ReceivedStudy:
    (folder / name).mkdir()
    return ReceivedStudy(name, folder / name, latest)


def test_studies_are_planned_in_the_order_in_which_they_came(planner, tmp_path, monkeypatch):
    monkeypatch.setattr(StudyWork, "__call__", lambda self: Outcome(self.study, 0, "ok"))
    monkeypatch.setattr(planners.time, "time", lambda: 1000.0)
    studies = [study(tmp_path, name, latest) for name, latest in (("a", 900), ("b", 800), ("c", 990.5), ("d", 850))]
    settled: list[str] = []
    with in_this_process() as workers:
        planned = [one.study for one in planner.plan(studies, lambda one: settled.append(one.name), workers)]
        assert planned == settled == ["b", "d", "a"]  # the last image of c came just before
        assert list(planner.plan(studies[:2], lambda one: settled.append(one.name), workers)) == []
    assert settled == ["b", "d", "a", "b", "a"]


class Interrupted(Exception):
    """Ends the loop that has no end."""


def test_what_a_worker_finished_after_its_service_was_killed_is_listed(tmp_path, monkeypatch):
    configuration = Configuration(tmp_path / "spool", quiet_s=0.001)
    spool = Spool(configuration.spool)
    spool.keep(MIDDLE_SLICES[0].read_bytes())
    (received,) = spool.changed()
    records = Records(configuration.spool / "records")
    request = resolved(configuration.request)
    work = StudyWork(received.name, received.folder.absolute(), tmp_path, request.request, request.key)

    @contextmanager
    def no_workers():  # while they start, the worker of the service before ends its study
        records.write(received.name, Record(work.key()).ended(Outcome(received.name, 3, "no planes")))
        with in_this_process() as workers:
            yield workers

    def interrupted(_seconds: float) -> None:
        raise Interrupted

    monkeypatch.setattr(serving, "_workers", no_workers)
    monkeypatch.setattr(serving, "receiving", lambda *_: nullcontext())
    monkeypatch.setattr(serving.time, "sleep", interrupted)
    with pytest.raises(Interrupted):
        serving.serve(configuration)
    (row,) = outcomes(configuration.spool)
    assert (row["study"], row["message"]) == (received.name, "no planes")
    assert not (configuration.spool / PLANS).exists()


def test_a_service_that_was_killed_before_it_listed_a_study_lists_it_when_it_begins(tmp_path):
    configuration = Configuration(tmp_path / "spool")
    known = {"0" * 16: Outcome("0" * 16, 3, "no planes")}
    spool = Spool(configuration.spool)
    configuration.spool.mkdir()
    with in_this_process() as workers, pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving.time, "sleep", lambda _seconds: (_ for _ in ()).throw(Interrupted))
        planner = Planner(resolved(configuration.request), Limits(), tmp_path, Records(tmp_path / "records"), 1.0)
        with pytest.raises(Interrupted):
            serving._plan_for_ever(planner, spool, known, configuration, workers, lambda: False)
    assert [row["study"] for row in outcomes(configuration.spool)] == ["0" * 16]
