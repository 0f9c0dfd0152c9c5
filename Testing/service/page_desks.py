"""A service for the tests of its page: studies in folders, nothing that receives or plans."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from AutoVolumeCalibrationLib.core.planning.risk.finding import PlanRisk
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
from AutoVolumeCalibrationLib.service.batch.table import numbers
from AutoVolumeCalibrationLib.service.engine.outcome import Outcome
from AutoVolumeCalibrationLib.service.page.desk import DONE, RECEIVING, StudyState
from calibrations import calibration
from command_line import MIDDLE_SLICES

#: A study that was planned, one that could not be, one in the queue.
PLANNED, REFUSED, QUEUED = "00000000000000aa", "00000000000000bb", "00000000000000cc"

PATIENT = "Doe^<i>Jane</i>"


@dataclass
class FakeDesk:
    """See ``page.desk.Desk``; ``again`` are the studies that were put into the queue."""

    states: dict[str, StudyState]
    to_send: dict[str, int] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    unreadable_objects: int = 0

    def studies(self):
        return list(self.states.values())

    def study(self, name):
        return self.states.get(name)

    def objects_to_send(self):
        return self.to_send

    def unreadable(self):
        return self.unreadable_objects

    def plan_again(self, name):
        self.again.append(name)


def fake_desk(folder: Path, plan: Calibration | None = None) -> FakeDesk:
    """Three studies below ``folder``; ``plan`` is that of PLANNED."""
    plan = plan or by_hand()
    plan.save(folder / "plans" / PLANNED)
    outcomes = {
        PLANNED: Outcome(PLANNED, 0, f"{plan.level}: {plan.checks[0].message}", numbers(plan), 1.5),
        REFUSED: Outcome(REFUSED, 3, "no scout shows <b>a plane</b>"),
        QUEUED: None,
    }
    states = {}
    for name, outcome in outcomes.items():
        images = folder / "images" / name
        write_image(images / "series" / "1.dcm")
        stage = RECEIVING if name == QUEUED else DONE
        states[name] = StudyState(name, time.time(), stage, outcome, images, folder / "plans" / name)
    return FakeDesk(states, {"pacs": 2})


def by_hand() -> Calibration:
    """A plan with a warning and a risk; the worst check comes first."""
    plan = calibration()
    return replace(plan, checks=plan.checks[::-1], risk=PlanRisk(0.0471, 0.1, 0.3))


def write_image(path: Path) -> None:
    """An image of a patient whose name is markup."""
    from pydicom import dcmread

    image = dcmread(MIDDLE_SLICES[0])
    image.PatientName, image.PatientID = PATIENT, "4711"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path)
