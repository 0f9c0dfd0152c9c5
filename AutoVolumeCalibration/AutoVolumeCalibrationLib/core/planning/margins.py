"""The margins of a box: their size, the coverage that they give, and margins that the uncertainty asks for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.box_side import on_side
from ..anatomy.protocol import Protocol, box_rule
from ..geometry.oriented_box import FACES, OrientedBox, face_center_mm, outward_axis
from .face_uncertainty import ASSUMED, Coverage, coverage_of
from .frame import AnatomicalFrame

if TYPE_CHECKING:
    from ..workflow.calibration import Calibration

#: A face is covered where the anatomy reaches less than this beyond it: what would be printed as 0.0 mm.
COVERED_MM = 0.05

#: Proposed margins are multiples of this many mm, rounded up.
MARGIN_STEP_MM = 0.5


def margins_mm(box: OrientedBox, frame: AnatomicalFrame, protocol: Protocol) -> dict[str, float]:
    """Face -> mm from the outermost expected landmark of the face out to the face; more than the rule's where the
    box was rounded up to whole slices. Faces without landmarks are left out.
    """
    rule = on_side(box_rule(protocol, box.name), frame.side, protocol.constellation)
    return {
        face: margin_beyond_mm(box, face, (frame.expected_mm[name] for name in rule.faces[face].landmarks))
        for face in FACES
        if face in rule.faces
    }


def margin_beyond_mm(box: OrientedBox, face: str, points_mm: Iterable[np.ndarray]) -> float:
    """mm from the outermost of the points (3,) RAS out to the face; negative where one lies outside the box."""
    outward = outward_axis(box.axes, face)
    outermost = max(float((point - box.center_mm) @ outward) for point in points_mm)
    return float((face_center_mm(box, face) - box.center_mm) @ outward) - outermost


@dataclass(frozen=True)
class FaceAtRisk:
    """A face beyond which the anatomy may lie.

    Attributes:
        beyond_mm: how far it reaches beyond the face at most, in the stated share of heads.
        probability: that any of it lies beyond the face.
    """

    face: str
    beyond_mm: float
    probability: float


def faces_at_risk(box: OrientedBox, frame: AnatomicalFrame, protocol: Protocol, coverage: Coverage) -> list[FaceAtRisk]:
    """The faces whose margin does not meet the stated coverage, worst first."""
    reach = coverage.reach_mm(box.face_sd_mm)
    found = [
        FaceAtRisk(face, reach[face] - margin, coverage.outside_probability(face, margin, box.face_sd_mm[face]))
        for face, margin in margins_mm(box, frame, protocol).items()
        if face in reach and reach[face] - margin >= COVERED_MM
    ]
    return sorted(found, key=lambda risk: -risk.beyond_mm)


def coverage_text(margin_mm: float, reach_mm: float, measured: bool) -> str:
    """What a margin covers, in words: the anatomy reaches at most ``reach_mm`` beyond the landmarks, with 95 %.

    Args:
        measured: whether that was measured for such a box, or assumed.
    """
    level = "95 %" if measured else ASSUMED
    beyond_mm = reach_mm - margin_mm
    if beyond_mm < COVERED_MM:
        return f"covered, {max(0.0, -beyond_mm):.1f} mm to spare ({level})"
    return f"anatomy up to {beyond_mm:.1f} mm beyond ({level})"


def plan_coverage(calibration: Calibration) -> Coverage:
    """The coverage factors of a plan's box, measured with its model or assumed."""
    rule = box_rule(calibration.protocol, calibration.box.name)
    return coverage_of(rule, calibration.model.coverage if calibration.model else ())


def proposed_margins_mm(calibration: Calibration) -> dict[str, float]:
    """Face -> margin in steps of MARGIN_STEP_MM; with all of them together 95 % of people lie fully inside the box."""
    safe = plan_coverage(calibration).safe_margins_mm(calibration.box.face_sd_mm)
    return {face: math.ceil(margin / MARGIN_STEP_MM - 1e-6) * MARGIN_STEP_MM for face, margin in safe.items()}
