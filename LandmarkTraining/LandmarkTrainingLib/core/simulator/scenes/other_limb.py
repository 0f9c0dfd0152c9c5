"""The other leg or arm beside the one that is scanned: its mirror image, some way off and turned a little."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

#: Standard deviations of its place against an exact mirror image.
SHIFT_MM, TURN_DEG = 15.0, 4.0


@dataclass(frozen=True)
class OtherLimb:
    """In view in ``share`` of the slices, its middle ``distance_mm`` (least, most) from the scanned one's.

    The scanned limb is a right one, so that the other lies in the direction -x.
    """

    share: float
    distance_mm: tuple[float, float]

    def random_maps(self, rng: np.random.Generator, count: int) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
        """(slice number, matrix (3, 3), offset (3,)) of each slice that shows it.

        A point p of the scanned limb's space is ``matrix @ p + offset`` in the space of the other one's mirror image.
        """
        shown = np.flatnonzero(rng.random(count) < self.share)
        return [(int(i), *self._random_map(rng)) for i in shown]

    def _random_map(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        turn = Rotation.from_rotvec(rng.normal(0, TURN_DEG, 3), degrees=True).as_matrix()
        place = np.array([-rng.uniform(*self.distance_mm), 0, 0]) + rng.normal(0, SHIFT_MM, 3) * [0, 1, 1]
        matrix = np.diag([-1.0, 1.0, 1.0]) @ turn
        return torch.from_numpy(matrix).float(), torch.from_numpy(-matrix @ place).float()
