"""Points on the surface of what a scan box should hold: the brain, or the part of a joint that its scene names."""

from __future__ import annotations

import numpy as np
import torch

from .label_heads import LabelHeads
from .tissues import CEREBRUM_AND_CEREBELLUM

#: Points on a surface, at most.
SURFACE_POINTS = 4000


def anatomy_surface_mm(heads: LabelHeads, head: int) -> torch.Tensor:
    """(n, 3) head-space points, up to SURFACE_POINTS, on the outside of what a box should hold.

    Of a head the cerebrum and cerebellum; of another anatomy the tissues that its scene names (``scenes.extent``),
    or the landmarks where it names none.
    """
    from scipy.ndimage import binary_erosion

    extent = heads.scene.extent if heads.scene else None
    if heads.scene is not None and extent is None:
        places = heads.landmarks_mm[head]
        return places[torch.isfinite(places).all(dim=1)]
    tissues = CEREBRUM_AND_CEREBELLUM if extent is None else extent.tissues
    inside = np.isin(heads.tissues[head].cpu().numpy(), tissues)
    voxels = np.argwhere(inside & ~binary_erosion(inside))
    points = _to_head(heads, head, voxels)
    if extent is not None:
        landmarks = dict(zip(heads.names, heads.landmarks_mm[head].cpu().numpy(), strict=True))
        points = points[torch.from_numpy(extent.holds(points.cpu().numpy(), landmarks)).to(points.device)]
    chosen = np.random.default_rng(0).permutation(len(points))[:SURFACE_POINTS]
    return points[torch.from_numpy(chosen).to(points.device)]


def _to_head(heads: LabelHeads, head: int, voxels: np.ndarray) -> torch.Tensor:
    at = torch.from_numpy(voxels).float().to(heads.voxel_from_head.device)
    matrix = heads.voxel_from_head[head]
    points: torch.Tensor = torch.linalg.solve(matrix[:, :3], (at - matrix[:, 3]).T).T
    return points
