"""What the user changed from one plan to another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.anatomy.landmark import CORRECTED, Landmark
from ...core.geometry.oriented_box import OrientedBox
from ...core.workflow.calibration import Calibration

#: A box that the user moved differs from the planned one by more than this (mm, direction cosines).
DRAWN_MM, DRAWN_AXES = 1e-3, 1e-6


def same_corrections(a: Sequence[Landmark], b: Sequence[Landmark]) -> bool:
    """Whether the user corrected the same landmarks to the same positions in both."""
    return _corrected_positions(a) == _corrected_positions(b)


def _corrected_positions(landmarks: Sequence[Landmark]) -> dict[str, tuple[float, ...] | None]:
    """Landmark name -> its position where the user set it, else None."""
    return {
        landmark.name: tuple(landmark.position_mm)
        if landmark.status == CORRECTED and landmark.position_mm is not None
        else None
        for landmark in landmarks
    }


def moved(before: Calibration, after: Calibration) -> bool:
    """Whether a landmark or the box has another position."""
    positions = {landmark.name: landmark.position_mm for landmark in before.landmarks}
    if any(_differ(positions.get(landmark.name), landmark.position_mm) for landmark in after.landmarks):
        return True
    return boxes_differ(before.box, after.box)


def _differ(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is not b
    return not np.array_equal(a, b)


def boxes_differ(a: OrientedBox, b: OrientedBox) -> bool:
    """Whether centre, size or axes differ by more than DRAWN_MM and DRAWN_AXES."""
    far = max(np.abs(a.center_mm - b.center_mm).max(), np.abs(a.size_mm - b.size_mm).max()) > DRAWN_MM
    return bool(far or np.abs(a.axes - b.axes).max() > DRAWN_AXES)
