"""Pictures of measured cases: the scouts with the planned and the true box, from the best case to the worst."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AutoVolumeCalibrationLib.core.errors import AutoVolumeError
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate

from ..case_log import CaseResult
from ..evaluation_report import is_wrong
from ..methods import model_name
from .cases import LabelMapCases
from .plan_picture import HALF_MM, Reference, draw_plan

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel

#: How many cases are drawn, and the folder they go into.
COUNT, FOLDER = 10, "pictures"

#: Room around the box that should have been planned, mm.
_AROUND_MM = 25.0


def draw_cases(results: Sequence[CaseResult], cases: LabelMapCases, model: LandmarkModel, folder: Path) -> list[Path]:
    """Draw COUNT of the model's planned cases into ``folder/pictures``: evenly from the smallest rotation error of the
    box to the largest one, both included; all where there are fewer. Earlier pictures there are replaced.

    The scouts are simulated and planned anew, which gives the same plan.

    Raises:
        UsageError: the folder cannot be written.
    """
    planned = [case for case in results if case.method == model_name(model) and case.box]
    ordered = sorted(planned, key=lambda case: case.box.rotation_deg if case.box else 0.0)
    picks = np.unique(np.linspace(0, len(ordered) - 1, min(COUNT, len(ordered))).round().astype(int))
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for earlier in (folder / FOLDER).glob("case_[0-9][0-9].png"):
        earlier.unlink()
    paths = []
    for number, pick in enumerate(picks, start=1):
        path = folder / FOLDER / f"case_{number:02d}.png"
        if _draw(ordered[pick], cases, model, path):
            paths.append(path)
    return paths


def _draw(result: CaseResult, cases: LabelMapCases, model: LandmarkModel, path: Path) -> bool:
    """Whether the case could be drawn; a plan that another version of the program refuses cannot."""
    number = next(number for number, name in cases.maps.items() if name == result.head)
    case = cases.case(number, result.pose, result.geometry)
    truth = case.truth
    if truth.box is None or result.box is None:
        return False
    try:
        plan = calibrate(case.stacks, cases.protocol, model, box=cases.conditions.box)
    except AutoVolumeError:
        return False
    half_mm = min(HALF_MM, float(truth.box.size_mm.max()) / 2 + _AROUND_MM)
    reference = Reference(truth.box, "planned from the true landmarks", truth.points, half_mm)
    title = f"{result.head}, pose {result.pose}, {cases.geometries[result.geometry].slices} per plane"
    draw_plan(plan, reference, title, _errors(result), path, wrong=is_wrong(result))
    return True


def _errors(case: CaseResult) -> str:
    """How far the plan is off, in words."""
    assert case.box is not None
    words = [f"rotated by {case.box.rotation_deg:.1f} deg, centre {case.box.center_mm:.1f} mm off"]
    words += [f"{name} {error:+.1f} deg" for name, error in case.joint_deg.items()]
    if case.side_right is False:
        words.append("wrong side")
    return ", ".join(words)
