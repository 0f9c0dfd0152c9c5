"""Heads of children: smaller, with a face that is small beside the skull."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..pose import BRAIN_CENTER_MM, HeadPose

#: Size of a child's head beside the label maps', and by how much its face is shortened.
SIZE, FACE_SHORTENING = (0.8, 0.95), (0.1, 0.6)

#: The face begins this far (mm from AC) along the unit direction (right, anterior, superior), just below the frontal
#: lobes: no part of the brain lies beyond, the eyes do.
FACE_DIRECTION, FACE_BEGINS_MM = (0.0, 0.6, -0.8), 40.0


def with_children(poses: HeadPose, chosen: np.ndarray, rng: np.random.Generator) -> HeadPose:
    """The poses with the ``chosen`` (b,) bool heads scaled to a child's size about the middle of the brain."""
    size = torch.from_numpy(rng.uniform(*SIZE, len(chosen))).float().to(poses.linear.device)
    present = torch.linalg.det(poses.linear).abs() ** (-1 / 3)
    factor = torch.where(torch.from_numpy(chosen).to(size.device), present / size, 1.0)
    middle = torch.from_numpy(BRAIN_CENTER_MM).float().to(size.device)
    offset = middle + factor[:, None] * (poses.offset - middle)
    return replace(poses, linear=poses.linear * factor[:, None, None], offset=offset)


def long_face(points: torch.Tensor, shortening: torch.Tensor) -> torch.Tensor:
    """Head-space points (b, n, 3) mm of heads with a short face -> points of the label map's head.

    Beyond ``FACE_BEGINS_MM`` lengths along ``FACE_DIRECTION`` grow by 1 + ``shortening`` (b,).
    """
    direction = torch.tensor(FACE_DIRECTION, device=points.device)
    beyond = (points @ direction - FACE_BEGINS_MM).clamp_min(0)
    return points + (shortening[:, None] * beyond)[..., None] * direction


def short_face(points: torch.Tensor, shortening: torch.Tensor) -> torch.Tensor:
    """The inverse of :func:`long_face`."""
    direction = torch.tensor(FACE_DIRECTION, device=points.device)
    beyond = (points @ direction - FACE_BEGINS_MM).clamp_min(0)
    return points - (shortening / (1 + shortening))[:, None, None] * beyond[..., None] * direction
