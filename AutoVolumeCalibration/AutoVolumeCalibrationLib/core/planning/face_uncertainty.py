"""Coverage of a plan's stated uncertainty: how far the anatomy may reach beyond each face of the box, with 95 %.

Standard deviations come from a model of the errors, which is never exact. So they are calibrated on heads with known
truth, by split conformal prediction (Lei et al. 2018, J Am Stat Assoc 113:1094): the
quantity itself, here the margin that a face would have needed, is divided by its stated deviation, and the 95 %
quantile of these scores is the factor that makes "95 %" true for the next head like those. A bundle carries the factors
of the boxes that they were measured for; for another box the textbook factors of a normal distribution are assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..anatomy.protocol import BoxRule
from ..geometry.oriented_box import FACES

#: Share of people that is covered.
LEVEL = 0.95

#: Stands for the share where it was not measured: errors are taken as normally distributed.
ASSUMED = "assumed"

#: Of a normal distribution: one-sided 95 %, the same of six independent faces at once, and two-sided 95 %.
ONE_FACE, SIX_FACES, TWO_SIDED = 1.645, 2.386, 1.960

#: Deviations below this say that the position is known, mm.
_NO_SPREAD_MM = 1e-9


@dataclass(frozen=True, eq=False)
class Coverage:
    """Factors on the stated standard deviations of one box, for LEVEL of the heads.

    Attributes:
        rule: identifies the box that they were measured for: landmarks of each face, line and tilt.
        offset_mm: face -> how far the anatomy reaches beyond the face's outermost landmark on average.
        factors: face -> factor on the face's deviation that covers this face alone.
        joint_factor: the one that covers all faces at once.
        angle_factors: those of pitch, roll and yaw, two-sided.
        heads, cases: how many were measured; none of them: assumed.
        simulated: how many of the heads are simulated ones.
    """

    rule: Mapping[str, Any]
    offset_mm: Mapping[str, float]
    factors: Mapping[str, float]
    joint_factor: float
    angle_factors: tuple[float, float, float]
    heads: int = 0
    cases: int = 0
    simulated: int = 0

    @property
    def measured(self) -> bool:
        return self.heads > 0

    @property
    def level(self) -> str:
        """How sure a stated reach is, in words: a share only where it was measured on some."""
        return f"{LEVEL:.0%}".replace("%", " %") + f", measured on {self.measured_on}" if self.measured else ASSUMED

    @property
    def measured_on(self) -> str:
        """Whom it was measured on, in words."""
        if self.simulated and self.simulated == self.heads:
            return f"{self.simulated} simulated people"
        people = f"{self.heads - self.simulated} people"
        return f"{people} and {self.simulated} simulated ones" if self.simulated else people

    def reach_mm(self, face_sd_mm: Mapping[str, float]) -> dict[str, float]:
        """Face -> mm beyond its outermost landmark that the anatomy exceeds in no more than 1 - LEVEL of heads."""
        return {face: self.offset_mm[face] + self.factors[face] * sd for face, sd in face_sd_mm.items()}

    def safe_margins_mm(self, face_sd_mm: Mapping[str, float]) -> dict[str, float]:
        """Face -> margin; with all of them together LEVEL of heads lie fully inside the box."""
        return {face: self.offset_mm[face] + self.joint_factor * sd for face, sd in face_sd_mm.items()}

    def outside_probability(self, face: str, margin_mm: float, sd_mm: float) -> float:
        """How probable it is that the anatomy reaches beyond a face with that margin and deviation.

        The tail of the normal distribution that has LEVEL at the face's factor.
        """
        spread_mm = self.factors[face] / ONE_FACE * sd_mm
        excess_mm = self.offset_mm[face] - margin_mm
        if spread_mm < _NO_SPREAD_MM:
            return float(excess_mm > 0)
        return math.erfc(-excess_mm / spread_mm / math.sqrt(2)) / 2

    def angles_deg(self, frame_covariance: np.ndarray, line_sd_rad: np.ndarray | None = None) -> np.ndarray:
        """(3,) deg: pitch, roll and yaw are off by more in no more than 1 - LEVEL of heads each.

        The factors were measured against the axes of the fitted typical head, so what the individual's own lines add
        to them is not among them.

        Args:
            frame_covariance, line_sd_rad: (6, 6) and (3,) of ``frame.AnatomicalFrame``.
        """
        most = np.sqrt(np.diagonal(frame_covariance)[:3]) * self.angle_factors
        own = np.zeros(3) if line_sd_rad is None else TWO_SIDED * line_sd_rad
        return np.rad2deg(np.hypot(most, own))

    def to_dict(self) -> dict[str, Any]:
        """The entry in a bundle's metadata and in calibration.json."""
        return {
            "rule": dict(self.rule),
            "offset_mm": {face: round(self.offset_mm[face], 3) for face in FACES},
            "factors": {face: round(self.factors[face], 3) for face in FACES},
            "joint_factor": round(self.joint_factor, 3),
            "angle_factors": [round(factor, 3) for factor in self.angle_factors],
            "heads": self.heads,
            "cases": self.cases,
            "simulated": self.simulated,
        }


def coverage_of(rule: BoxRule, measured: Sequence[Coverage]) -> Coverage:
    """The factors ``measured`` for such a box, else those of a normal distribution."""
    key = rule_key(rule)
    for coverage in measured:
        if coverage.rule == key:
            return coverage
    return Coverage(
        key, dict.fromkeys(FACES, 0.0), dict.fromkeys(FACES, ONE_FACE), SIX_FACES, (TWO_SIDED, TWO_SIDED, TWO_SIDED)
    )


def rule_key(rule: BoxRule) -> dict[str, Any]:
    """What the factors of a box depend on; its name, margins and slices do not matter."""
    key: dict[str, Any] = {
        "faces": {face: list(rule.faces[face].landmarks) for face in FACES if face in rule.faces},
        "line": None if rule.line is None else [list(end) for end in rule.line],
        "tilt_deg": [float(angle) for angle in rule.tilt_deg],
    }
    if rule.lines:
        key["lines"] = [[each.axis, each.about, *(list(end) for end in each.line)] for each in rule.lines]
    return key


def coverages_from_list(entries: Sequence[Mapping[str, Any]]) -> tuple[Coverage, ...]:
    """The factors stored in a bundle or a result; ValueError where they are damaged."""
    try:
        return tuple(_from_dict(entry) for entry in entries)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"the coverage of its boxes is damaged ({error})") from error


def _from_dict(entry: Mapping[str, Any]) -> Coverage:
    offset_mm = {face: float(entry["offset_mm"][face]) for face in FACES}
    factors = {face: float(entry["factors"][face]) for face in FACES}
    joint_factor = float(entry["joint_factor"])
    angle_factors = tuple(float(factor) for factor in entry["angle_factors"])
    every_factor = [*factors.values(), joint_factor, *angle_factors]
    finite = np.isfinite([*every_factor, *offset_mm.values()]).all()
    if len(angle_factors) != 3 or not finite or min(every_factor) < 0:
        raise ValueError("factors must be finite and not negative, three of them for the angles")
    return Coverage(
        dict(entry["rule"]),
        offset_mm,
        factors,
        joint_factor,
        angle_factors,
        int(entry["heads"]),
        int(entry["cases"]),
        int(entry.get("simulated", 0)),
    )
