"""The box of the baseline, placed on the scouts of a follow-up: the result, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..geometry.oriented_box import OrientedBox
from ..geometry.rotations import rotation_vector
from .registration import Registration

#: Below this mean correlation the scouts may not show the same anatomy. Pairs of different people reached up to 0.61,
#: one person's visits 0.84 to 1.00, in another contrast 0.69 to 0.98, with single slices 0.59 (heads of split train,
#: Testing/benchmarks/follow_up.py).
LEAST_CORRELATION = 0.65

#: Quantile 0.999 of chi-square with 6 degrees of freedom: the landmarks and the images disagree above it.
LARGEST_CHI_SQUARE = 22.46

#: Standard deviation in mm and deg beyond which a registration counts as uncertain: twice as much, 1.5 mm and 1.5 deg,
#: is what 95 % of follow-ups should not exceed. Single slices of the same contrast reached 0.7 deg, of another 1.3.
CERTAIN_MM, CERTAIN_DEG = 0.75, 0.75


@dataclass(frozen=True, eq=False)
class FollowUp:
    """How the follow-up was brought onto its baseline.

    Attributes:
        baseline: where the plan or the series of the baseline is.
        box: the baseline's, where the images of the follow-up show the same anatomy; RAS of the follow-up.
        sd_deg, sd_mm: standard deviation of its rotation and of its centre, the largest direction.
        correlation: of the scouts of both visits, -1..1.
        chi_square: of the disagreement between the images and the landmarks of both visits, 6 degrees of freedom.
        rotation_deg, shift_mm: (3,) rotation vector and shift of the centre from the plan by landmarks alone to the box
            of the baseline, along the axes of that plan (right, anterior, superior).
    """

    baseline: str
    box: OrientedBox
    sd_deg: float
    sd_mm: float
    correlation: float
    chi_square: float
    rotation_deg: np.ndarray
    shift_mm: np.ndarray

    @property
    def matched(self) -> bool:
        """Whether the images of both visits show the same anatomy."""
        return self.correlation >= LEAST_CORRELATION

    @property
    def in_words(self) -> str:
        """How far the box lies from the plan by landmarks alone."""
        turned, moved = np.linalg.norm(self.rotation_deg), np.linalg.norm(self.shift_mm)
        return f"{turned:.1f} deg and {moved:.1f} mm from the plan by landmarks alone"


def box_at_follow_up(box: OrientedBox, registration: Registration) -> OrientedBox:
    """The box of the baseline in the RAS of the follow-up."""
    from_baseline = np.linalg.inv(registration.to_baseline)
    rotation = from_baseline[:3, :3]
    return replace(box, center_mm=rotation @ box.center_mm + from_baseline[:3, 3], axes=box.axes @ rotation.T)


def between_boxes(first: OrientedBox, second: OrientedBox) -> tuple[np.ndarray, np.ndarray]:
    """Rotation vector in deg and shift in mm, both (3,) along the axes of ``first``, that bring it onto ``second``."""
    turn = second.axes.T @ first.axes
    return np.rad2deg(first.axes @ rotation_vector(turn)), first.axes @ (second.center_mm - first.center_mm)


def follow_up_to_dict(follow_up: FollowUp) -> dict[str, Any]:
    """As ``calibration.json`` keeps it; the box has its own form there."""
    return {
        "baseline": follow_up.baseline,
        "sd_deg": float(follow_up.sd_deg),
        "sd_mm": float(follow_up.sd_mm),
        "correlation": float(follow_up.correlation),
        "chi_square": float(follow_up.chi_square),
        "rotation_deg": follow_up.rotation_deg.tolist(),
        "shift_mm": follow_up.shift_mm.tolist(),
    }


def follow_up_from_dict(entry: Mapping[str, Any], box: OrientedBox) -> FollowUp:
    """The inverse of ``follow_up_to_dict``, with the box that was kept beside it."""
    return FollowUp(
        baseline=entry["baseline"],
        box=box,
        sd_deg=float(entry["sd_deg"]),
        sd_mm=float(entry["sd_mm"]),
        correlation=float(entry["correlation"]),
        chi_square=float(entry["chi_square"]),
        rotation_deg=np.array(entry["rotation_deg"], dtype=float),
        shift_mm=np.array(entry["shift_mm"], dtype=float),
    )
