"""Widened or narrow lateral ventricles: the tissue round them is pushed outwards or drawn inwards.

In head space a widened head's point q shows what the label map has at ``q - widening * push(q)``, where
``push(q) = exp(-max(s, 0) / FADE_MM) * grad s`` and s is the smoothed signed distance from the ventricles' border (mm,
negative inside). Landmarks move with the tissue: ``q = p + widening * push(q)``, by fixed-point iteration.
"""

from __future__ import annotations

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.reslice import Volume

#: FreeSurfer numbers of the lateral ventricles with their inferior horns.
LABELS = (4, 43, 5, 44)

#: How far the border moves, mm: mostly outwards; below FADE_MM, so that the tissue is not folded.
WIDENING_MM = (-1.5, 8.0)

#: The push falls to 1/e at this distance from the border; the distance is smoothed by SMOOTH_MM.
FADE_MM, SMOOTH_MM = 14.0, 2.0

#: Grid of the push in head space (right, anterior, superior of AC), mm.
GRID_MIN, GRID_MAX, GRID_STEP = np.array([-66.0, -108.0, -48.0]), np.array([66.0, 72.0, 72.0]), 3.0

#: Margin of the region round the ventricles in which the distance is computed, voxels.
MARGIN = 42

ITERATIONS = 12


def ventricle_push(labels: Volume, voxel_from_head: np.ndarray) -> torch.Tensor:
    """(3, I, J, K) float32 push in head space on the grid (vectors right, anterior, superior).

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
    push = np.stack(np.gradient(sampled, GRID_STEP)) * np.exp(-np.maximum(sampled, 0) / FADE_MM)
    return torch.from_numpy(push).float()


def push_at(push: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(n, 3) push at head-space points (n, 3) mm, trilinear; 0 outside of the grid."""
    low, high = (torch.from_numpy(edge).float().to(points.device) for edge in (GRID_MIN, GRID_MAX))
    grid = (2 * (points - low) / (high - low) - 1).flip(-1)[None, None, None]
    return torch.nn.functional.grid_sample(push[None], grid, align_corners=True)[0, :, 0, 0].T


def narrow(points: torch.Tensor, push: torch.Tensor, widening: float) -> torch.Tensor:
    """Points (n, 3) of the head with widened ventricles -> points of the label map's head."""
    return points - widening * push_at(push, points)


def widen(points: torch.Tensor, push: torch.Tensor, widening: float) -> torch.Tensor:
    """Points (n, 3) of the label map's head -> where they lie with widened ventricles; NaN stay NaN."""
    moved = points
    for _ in range(ITERATIONS):
        moved = points + widening * push_at(push, moved.nan_to_num(1e4))
    return moved
