"""What a person changed from one plan to another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.anatomy.landmark import CORRECTED, Landmark
from ..core.geometry.oriented_box import OrientedBox
from ..core.workflow.calibration import Calibration

#: A box that a person moved lies or turns by more than this off the planned one (mm, direction cosines).
DRAWN_MM, DRAWN_AXES = 1e-3, 1e-6


def same_corrections(a: Sequence[Landmark], b: Sequence[Landmark]) -> bool:
    """Whether a person decided the same in both."""

    def places(marks: Sequence[Landmark]) -> dict[str, tuple | None]:
        return {m.name: tuple(np.ravel(m.position_mm)) if m.status == CORRECTED else None for m in marks}

    return places(a) == places(b)


def moved(before: Calibration, after: Calibration) -> bool:
    """Whether a landmark or the box lies elsewhere."""
    places = {mark.name: mark.position_mm for mark in before.landmarks}
    for mark in after.landmarks:
        place = places.get(mark.name)
        if (place is None) is not (mark.position_mm is None):
            return True
        if place is not None and not np.array_equal(place, mark.position_mm):
            return True
    return boxes_differ(before.box, after.box)


def boxes_differ(a: OrientedBox, b: OrientedBox) -> bool:
    far = max(np.abs(a.center_mm - b.center_mm).max(), np.abs(a.size_mm - b.size_mm).max()) > DRAWN_MM
    return bool(far or np.abs(a.axes - b.axes).max() > DRAWN_AXES)
