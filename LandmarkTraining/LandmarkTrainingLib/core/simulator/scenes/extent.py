"""What a scan box should hold of a simulated anatomy, as data in its ``scene.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Fewer landmarks have no hull.
FEWEST_LANDMARKS = 4


@dataclass(frozen=True)
class Extent:
    """The outside of some tissues about some landmarks.

    A shaft of a bone runs on beyond every box: what counts lies inside the convex hull of the landmarks, each side of
    which is moved outwards by ``within_mm``.

    Attributes:
        tissues: their numbers; landmarks: names, at least FEWEST_LANDMARKS.
    """

    tissues: tuple[int, ...]
    landmarks: tuple[str, ...]
    within_mm: float

    def holds(self, points_mm: np.ndarray, landmarks_mm: Mapping[str, np.ndarray]) -> np.ndarray:
        """(n,) bool: which of the points (n, 3) count.

        Args:
            landmarks_mm: name -> (3,) in the same axes; those that are NaN are left out.
        """
        from scipy.spatial import ConvexHull

        corners = np.array([landmarks_mm[name] for name in self.landmarks if name in landmarks_mm], dtype=float)
        sides = ConvexHull(corners[np.isfinite(corners).all(axis=1)]).equations
        beyond = points_mm @ sides[:, :3].T + sides[:, 3]
        inside: np.ndarray = beyond.max(axis=1) <= self.within_mm
        return inside

    @staticmethod
    def from_dict(data: Mapping[str, Any], tissue_names: Sequence[str]) -> Extent:
        """The extent of a JSON object; ValueError or KeyError where a tissue is absent or landmarks are too few."""
        landmarks = tuple(str(name) for name in data["landmarks"])
        if not data["tissues"] or len(landmarks) < FEWEST_LANDMARKS:
            raise ValueError(f"extent needs tissues and {FEWEST_LANDMARKS} landmarks")
        tissues = tuple(tissue_names.index(name) for name in data["tissues"])
        return Extent(tissues, landmarks, float(data["within_mm"]))
