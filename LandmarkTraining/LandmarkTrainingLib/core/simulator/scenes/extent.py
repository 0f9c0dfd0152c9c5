"""What a scan box should hold of a simulated anatomy, as data in its ``scene.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Extent:
    """The outside of some tissues, from the lowest to the highest of some landmarks along the anatomy's third axis.

    A shaft of a bone runs on beyond every box; the landmarks say where what is scanned ends.

    Attributes:
        tissues: their numbers; between: names of the landmarks.
    """

    tissues: tuple[int, ...]
    between: tuple[str, ...]

    def heights_mm(self, landmarks_mm: Mapping[str, np.ndarray]) -> tuple[float, float]:
        """Lowest and highest of the landmarks, whose positions (3,) are in the anatomy's space; NaN are left out."""
        heights = [float(landmarks_mm[name][2]) for name in self.between if name in landmarks_mm]
        return float(np.nanmin(heights)), float(np.nanmax(heights))

    @staticmethod
    def from_dict(data: Mapping[str, Any], tissue_names: Sequence[str]) -> Extent:
        """The extent of a JSON object; ValueError or KeyError where a tissue or landmarks are absent."""
        if not data["between"] or not data["tissues"]:
            raise ValueError("extent needs tissues and landmarks")
        return Extent(
            tuple(tissue_names.index(name) for name in data["tissues"]), tuple(str(name) for name in data["between"])
        )
