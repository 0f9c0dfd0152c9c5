"""Landmarks of the patella by rules: its poles, and its front and back at mid-height."""

from __future__ import annotations

import numpy as np

from .surface_points import outermost

#: Front and back are measured within this distance of mid-height, mm: the rearmost point of a tilted patella as a
#: whole jumps to its top.
MIDDLE_HALF_MM = 5.0


def patella_landmarks(patella: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> (3,) of the landmarks of a patella (n, 3) (right, anterior, superior mm)."""
    middle = (patella[:, 2].max() + patella[:, 2].min()) / 2
    belt = patella[np.abs(patella[:, 2] - middle) < MIDDLE_HALF_MM]
    found = {
        "PATELLA_TOP": outermost(patella, 2, 1, depth_mm=2.5),
        "PATELLA_BOTTOM": outermost(patella, 2, -1, depth_mm=2.5),
        "PATELLA_BACK": outermost(belt, 1, -1, depth_mm=2.0),
        "PATELLA_FRONT": outermost(belt, 1, 1, depth_mm=2.0),
    }
    for name in ("PATELLA_BACK", "PATELLA_FRONT"):
        found[name][2] = middle
    return found
