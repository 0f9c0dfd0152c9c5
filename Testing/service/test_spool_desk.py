"""The service as its page sees it: studies, stages, and the way back into the queue."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.service.engine.claims import claimed
from AutoVolumeCalibrationLib.service.engine.outcome import Outcome
from AutoVolumeCalibrationLib.service.engine.records import Record, Records
from AutoVolumeCalibrationLib.service.node.configuration import Configuration, Destination
from AutoVolumeCalibrationLib.service.node.outbox import Outbox
from AutoVolumeCalibrationLib.service.node.spool import Spool
from AutoVolumeCalibrationLib.service.node.spool_desk import SpoolDesk
from AutoVolumeCalibrationLib.service.page.desk import DONE, PLANNING, RECEIVING, WAITING
from command_line import MIDDLE_SLICES


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return Configuration(tmp_path / "spool", destinations=(Destination("share", folder=tmp_path / "share"),))


def test_a_study_is_received_waits_is_planned_and_done(configuration):
    spool, records = Spool(configuration.spool), Records(configuration.spool / "records")
    outcomes: dict[str, Outcome | None] = {}
    desk = SpoolDesk(configuration, spool, records, outcomes)
    assert list(desk.studies()) == []
    path = spool.keep(MIDDLE_SLICES[0].read_bytes())
    (study,) = desk.studies()
    assert (study.stage, study.outcome) == (RECEIVING, None)
    assert study.images == path.parents[1]
    assert abs(study.received_s - time.time()) < 60

    earlier = time.time() - 100
    os.utime(path, (earlier, earlier))
    assert desk.study(study.name).stage == WAITING
    with claimed(records.path(study.name, "claim")):
        assert desk.study(study.name).stage == PLANNING
    outcomes[study.name] = Outcome(study.name, 0, "ok")
    (received,) = spool.changed()
    spool.settle(received)
    for _ in range(2):
        (done,) = desk.studies()
        assert (done.stage, done.outcome, done.received_s) == (DONE, outcomes[study.name], pytest.approx(earlier))
    assert desk.study("0" * 16) is None


def test_a_study_that_is_planned_again_is_in_the_queue_and_its_attempts_are_forgotten(configuration):
    spool, records = Spool(configuration.spool), Records(configuration.spool / "records")
    desk = SpoolDesk(configuration, spool, records, {})
    spool.keep(MIDDLE_SLICES[0].read_bytes())
    (received,) = spool.changed()
    spool.settle(received)
    records.write(received.name, replace(Record("key"), attempts=3))
    desk.plan_again(received.name)
    assert [one.name for one in spool.changed()] == [received.name]
    assert records.read(received.name) == Record()
    assert desk.study(received.name).stage == RECEIVING  # its image came just now


def test_objects_to_be_sent_are_counted(configuration, tmp_path):
    desk = SpoolDesk(configuration, Spool(configuration.spool), Records(tmp_path / "records"), {})
    assert desk.objects_to_send() == {"share": 0}
    box = Outbox(configuration.spool, configuration.destinations[0], "ME")
    for uid in ("1.2.3", "1.2.4"):
        box.put(MIDDLE_SLICES[0], uid)
    assert desk.objects_to_send() == {"share": 2}
