"""Widened or narrow lateral ventricles: the tissue round them is pushed outwards or drawn inwards.

In head space a changed head's point q shows what the label map has at ``q - min(d, max(s + INSIDE_MM, 0)) * grad s``
with ``d = widening * exp(-max(s, 0) / FADE_MM)``; s is the smoothed signed distance from the ventricles' border (mm,
negative inside). The minimum keeps what lies within the widened ventricle within that of the label map. Tissue, and the
landmarks with it, moves to ``q = p + d(q) grad s(q)``, by fixed-point iteration: the border by x = widening exp(-x /
FADE_MM), e.g. 5 mm of a widening by 7 mm.
"""

from __future__ import annotations

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.scouts.volume import Volume

#: FreeSurfer numbers of the lateral ventricles with their inferior horns.
LABELS = (4, 43, 5, 44)

#: Strength of the change, mm: mostly outwards.
WIDENING_MM = (-1.5, 11.0)

#: The change falls to 1/e at this distance from the border; the distance is smoothed by SMOOTH_MM.
FADE_MM, SMOOTH_MM = 14.0, 2.0

#: What lies just within the widened border shows what lies this deep within that of the label map, mm.
INSIDE_MM = 0.7

#: Grid of distance and direction in head space (right, anterior, superior of AC), mm.
GRID_MIN, GRID_MAX, GRID_STEP = np.array([-66.0, -108.0, -48.0]), np.array([66.0, 72.0, 72.0]), 3.0

#: Margin of the region round the ventricles in which the distance is computed, voxels.
MARGIN = 42

ITERATIONS = 12


def ventricle_field(labels: Volume, voxel_from_head: np.ndarray) -> torch.Tensor:
    """(4, I, J, K) float32 on the grid in head space: direction away from the ventricles (right, anterior, superior),
    and distance from their border, mm.

    Args:
        voxel_from_head: (3, 4) head space mm -> fractional voxel of 1 mm.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

    ventricles = np.isin(labels.array, LABELS)
    found = np.argwhere(ventricles)
    low = np.maximum(found.min(0) - MARGIN, 0)
    high = np.minimum(found.max(0) + MARGIN + 1, ventricles.shape)
    region = ventricles[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    distance = distance_transform_edt(~region) - distance_transform_edt(region)
    distance = gaussian_filter(distance.astype(np.float32), SMOOTH_MM)
    axes = [np.arange(a, b + 1e-6, GRID_STEP) for a, b in zip(GRID_MIN, GRID_MAX, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"))
    voxels = np.tensordot(voxel_from_head[:, :3], grid, axes=1) + voxel_from_head[:, 3, None, None, None]
    sampled = map_coordinates(distance, voxels - low[:, None, None, None], order=1, mode="nearest")
    return torch.from_numpy(np.stack([*np.gradient(sampled, GRID_STEP), sampled])).float()


def field_at(field: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Direction (n, 3) and distance (n, 1) at head-space points (n, 3) mm, trilinear; no direction outside the grid."""
    low, high = (torch.from_numpy(edge).float().to(points.device) for edge in (GRID_MIN, GRID_MAX))
    grid = (2 * (points - low) / (high - low) - 1).flip(-1)[None, None, None]
    values = torch.nn.functional.grid_sample(field[None], grid, align_corners=True)[0, :, 0, 0].T
    return values[:, :3], values[:, 3:]


def narrow(points: torch.Tensor, field: torch.Tensor, widening: float) -> torch.Tensor:
    """Points (n, 3) of the head with widened ventricles -> points of the label map's head."""
    direction, distance = field_at(field, points)
    moved = widening * torch.exp(-distance.clamp_min(0) / FADE_MM)
    return points - torch.minimum(moved, (distance + INSIDE_MM).clamp_min(0)) * direction


def widen(points: torch.Tensor, field: torch.Tensor, widening: float) -> torch.Tensor:
    """Points (n, 3) of the label map's head -> where they lie with widened ventricles; NaN stay NaN."""
    moved = points
    for _ in range(ITERATIONS):
        direction, distance = field_at(field, moved.nan_to_num(1e4))
        moved = points + widening * torch.exp(-distance.clamp_min(0) / FADE_MM) * direction
    return moved
