"""A field of view shorter than the head: what lies in front of it folds onto the back."""

from __future__ import annotations

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import IN_PLANE_AXES

#: Length of the field along anterior, and by how much its middle lies behind that of the image, mm.
LENGTH_MM, BEHIND_MM = (180.0, 225.0), (-5.0, 20.0)

#: World axis of anterior.
_ANTERIOR = 1


def wrap_front(
    images: torch.Tensor, planes: np.ndarray | None, rng: np.random.Generator, share: float, pixel_mm: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fold ``share`` of the sagittal and axial images (b, H, W) along anterior.

    Args:
        planes: (b,) index into PLANES; None: nothing is folded.

    Returns:
        images, zero outside the fields of view, and the fields (b, H, W) bool (everything where nothing is folded).
    """
    field = torch.ones(images.shape, dtype=torch.bool, device=images.device)
    chosen = np.flatnonzero(rng.random(len(images)) < share)
    if planes is None:
        return images, field
    result = images.clone() if len(chosen) else images
    for i in chosen:
        length, behind, strength = rng.uniform(*LENGTH_MM), rng.uniform(*BEHIND_MM), rng.uniform(0.5, 1.0)
        axis = anterior_dimension(int(planes[i]))
        if axis is None:
            continue
        size = images.shape[1 + axis]
        first = round((size - 1) / 2 - (behind + length / 2) / pixel_mm)
        last = first + round(length / pixel_mm)
        first, last = max(first, 0), min(last, size)
        image, view = result[i].movedim(axis, 0), field[i].movedim(axis, 0)
        front = image[last:].clone()
        reach = min(len(front), last - first)
        image[first : first + reach] += strength * front[:reach]
        for outside in (slice(0, first), slice(last, size)):
            image[outside], view[outside] = 0, False
    return result, field


def anterior_dimension(plane: int) -> int | None:
    """0 where the rows of a plane's images run along anterior, 1 where the columns do, None where neither does."""
    column, row = IN_PLANE_AXES[PLANES[plane]]
    return {row: 0, column: 1}.get(_ANTERIOR)
