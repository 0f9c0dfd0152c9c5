"""How an individual's own lines are rotated against the axes of the typical anatomy fitted to all landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .axis_lines import BOX_AXES, AxisLine, Line

#: Keys of the standard deviations about right, anterior and superior, deg.
SD_KEYS = ("pitch_sd_deg", "roll_sd_deg", "yaw_sd_deg")


@dataclass(frozen=True)
class LineVariation:
    """How the individual's own line through landmarks is rotated against the axes of the fitted anatomy.

    Attributes:
        line: (from, to) landmark names, see ``axis_lines.Line``.
        pitch_sd_deg: standard deviation about the right axis among people; heads: how many were measured.
        roll_sd_deg, yaw_sd_deg: about the anterior and the superior axis. That about ``axis`` itself is 0.
        axis: which the line runs along.
        part: of a joint, whose axes they are; empty: one rigid body.
    """

    line: Line
    pitch_sd_deg: float = 0.0
    heads: int = 0
    roll_sd_deg: float = 0.0
    yaw_sd_deg: float = 0.0
    axis: str = "anterior"
    part: str = ""

    @property
    def sd_deg(self) -> np.ndarray:
        """(3,) about right, anterior, superior."""
        return np.array([self.pitch_sd_deg, self.roll_sd_deg, self.yaw_sd_deg])

    def to_dict(self) -> dict[str, Any]:
        """The entry in ``lines`` of an anatomy file."""
        start, end = (names[0] if len(names) == 1 else list(names) for names in self.line)
        entry: dict[str, Any] = {"from": start, "to": end}
        if self.axis != "anterior":
            entry["axis"] = self.axis
        if self.part:
            entry["part"] = self.part
        stated = {key: sd for key, sd in zip(SD_KEYS, self.sd_deg.tolist(), strict=True) if sd or key == SD_KEYS[0]}
        return {**entry, **stated, "heads": self.heads}


def variation_from_dict(entry: Mapping[str, Any], line: Line) -> LineVariation:
    """The variation of an entry that fits the schema."""
    pitch, roll, yaw = (float(entry.get(key, 0.0)) for key in SD_KEYS)
    return LineVariation(
        line, pitch, int(entry.get("heads", 0)), roll, yaw, entry.get("axis", "anterior"), entry.get("part", "")
    )


def line_sd_rad(variations: Sequence[LineVariation], lines: Sequence[AxisLine], part: str = "") -> np.ndarray:
    """(3,) standard deviation of the individual's own lines against the axes, about right, anterior, superior.

    A line counts in the rotations by which axes are turned onto it (``axis_lines.along_lines``): about the axis that it
    states, a second line about the first one's axis, else about the two axes across it. 0 where nothing is stated.

    Args:
        part: whose axes they are, empty for one rigid body.
    """
    variances = np.zeros(3)
    for number, each in enumerate(lines):
        about = each.about or (lines[0].axis if number else None)
        turns = [axis == about if about else axis != each.axis for axis in BOX_AXES]
        found = (v for v in variations if (v.line, v.axis, v.part) == (each.line, each.axis, part))
        variances += np.where(turns, next((v.sd_deg for v in found), np.zeros(3)), 0.0) ** 2
    return np.deg2rad(np.sqrt(variances))
