"""Changes of a head's anatomy that move its landmarks: a child's face, wide ventricles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .children import FACE_SHORTENING, long_face, short_face
from .effect_settings import SimulationEffects
from .ventricles import WIDENING_MM, narrow, widen


@dataclass(frozen=True, eq=False)
class AnatomyChanges:
    """What is changed in each of b slices.

    Attributes:
        shortening: (b,) of the face, 0 where there is none.
        widening_mm: (b,) of the ventricles, 0 where they are as in the label map.
        fields: (4, I, J, K) of the heads with other ventricles, by slice number.
    """

    shortening: torch.Tensor
    widening_mm: np.ndarray
    fields: dict[int, torch.Tensor]

    @property
    def changed(self) -> np.ndarray:
        """(b,) bool: which slices show anything else than the label map."""
        return (self.shortening.cpu().numpy() > 0) | (self.widening_mm != 0)

    def part(self, numbers: np.ndarray) -> AnatomyChanges:
        """Those of some slices, which are numbered anew."""
        fields = {new: self.fields[int(old)] for new, old in enumerate(numbers) if int(old) in self.fields}
        return AnatomyChanges(self.shortening[numbers], self.widening_mm[numbers], fields)

    def to_label_map(self, points: torch.Tensor) -> torch.Tensor:
        """Head-space points (b, n, 3) of the changed heads -> of the label maps' heads."""
        if not self.changed.any():
            return points
        points = long_face(points, self.shortening)
        for i, field in self.fields.items():
            points[i] = narrow(points[i], field, float(self.widening_mm[i]))
        return points

    def from_label_map(self, points: torch.Tensor) -> torch.Tensor:
        """The inverse of ``to_label_map``."""
        if not self.changed.any():
            return points
        points = points.clone()
        for i, field in self.fields.items():
            points[i] = widen(points[i], field, float(self.widening_mm[i]))
        return short_face(points, self.shortening)


def random_changes(
    rng: np.random.Generator,
    children: np.ndarray,
    fields: torch.Tensor | None,
    chosen: np.ndarray,
    effects: SimulationEffects,
    device: torch.device,
) -> AnatomyChanges:
    """Random changes of ``len(chosen)`` heads.

    Args:
        children: (b,) bool.
        fields: (heads, 4, I, J, K) of ``ventricles.ventricle_field``; None where ventricles are not changed.
        chosen: (b,) number of the head.
    """
    count = len(chosen)
    shortening = np.where(children, rng.uniform(*FACE_SHORTENING, count), 0.0)
    widening = np.where(rng.random(count) < effects.ventricles, rng.uniform(*WIDENING_MM, count), 0.0)
    of_slice: dict[int, torch.Tensor] = {}
    if fields is None:
        widening[:] = 0.0
    else:
        of_slice = {int(i): fields[int(chosen[i])] for i in np.flatnonzero(widening)}
    return AnatomyChanges(torch.from_numpy(shortening).float().to(device), widening, of_slice)
