"""The table of landmarks in the browser."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.anatomy.landmark import CORRECTED, MISSING, Landmark
from ..core.report.style import GREEN, GREY, ORANGE, SKY_BLUE
from ..core.workflow.calibration import Calibration
from ..mrml.landmark_nodes import is_uncertain


def landmark_rows(plan: Calibration) -> list[dict[str, Any]]:
    """A row for each landmark, in the order of the protocol: name, title, status, colour, and what may be done."""
    entries = {entry.name: entry for entry in plan.protocol.constellation.landmarks}
    predicted = {landmark.name: landmark.status for landmark in plan.predicted}
    return [
        {
            "name": landmark.name,
            "title": entries[landmark.name].title,
            "status": _status(landmark, plan),
            "color": _color(landmark, plan),
            "changed": landmark.status != predicted.get(landmark.name, MISSING),
            "missing": landmark.status == MISSING,
        }
        for landmark in plan.landmarks
    ]


def position_of(name: str, plan: Calibration) -> np.ndarray:
    """(3,) RAS mm of a landmark, of where it is expected if it has no position."""
    landmark = next(one for one in plan.landmarks if one.name == name)
    expected: np.ndarray = plan.frame.expected_mm[name]
    return expected if landmark.position_mm is None else landmark.position_mm


def _status(landmark: Landmark, plan: Calibration) -> str:
    if landmark.status == MISSING:
        return "missing"
    if landmark.status == CORRECTED:
        return "set by you" if landmark.free_direction is None else "set in one plane"
    if landmark.name in plan.frame.outliers:
        return "contradicts"
    return "unsure" if is_uncertain(landmark, plan) else "found"


def _color(landmark: Landmark, plan: Calibration) -> str:
    if landmark.status == MISSING:
        return GREY
    if landmark.status == CORRECTED:
        return SKY_BLUE
    return ORANGE if is_uncertain(landmark, plan) else GREEN
