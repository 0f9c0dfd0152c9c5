"""Random changes of a head's pose and shape within its slices.

They are the simulator's poses with two axes instead of three, (column, row) mm from the middle of the image:
``to_head`` maps pixels of the new image to the old one, ``to_scanner`` points of the old image to the new one.
"""

from __future__ import annotations

import numpy as np
import torch

from ..simulator.pose import WAVES, HeadPose

#: Wavelengths of the elastic deformation, mm: longer than a landmark's surroundings, shorter than a head.
WAVELENGTH_MM = (80.0, 200.0)

#: Up to here the steepest deformation has an inverse: its gradient stays below 0.7.
LARGEST_ELASTIC_MM = 6.0


def random_in_plane_poses(
    rng: np.random.Generator,
    count: int,
    *,
    rotation_deg: float,
    log_scale: float,
    shear: float,
    shift_mm: float,
    elastic_mm: float,
    flip: np.ndarray,
) -> HeadPose:
    """``count`` poses, each drawn evenly between minus and plus the sizes given.

    Args:
        log_scale: natural logarithm of the largest magnification.
        shear: columns moved per row.
        elastic_mm: largest displacement along each axis, at most LARGEST_ELASTIC_MM.
        flip: (count,) bool: the image is mirrored left to right.
    """
    angle = np.deg2rad(rng.uniform(-rotation_deg, rotation_deg, count))
    factor = np.exp(rng.uniform(-log_scale, log_scale, count))
    skew = rng.uniform(-shear, shear, count)
    cos, sin, one, zero = np.cos(angle), np.sin(angle), np.ones(count), np.zeros(count)
    rotation = np.moveaxis(np.array([[cos, -sin], [sin, cos]]), -1, 0)
    sheared = np.moveaxis(np.array([[one, skew], [zero, one]]), -1, 0)
    linear = np.linalg.inv(factor[:, None, None] * rotation @ sheared)
    shift = rng.uniform(-shift_mm, shift_mm, (count, 2))
    direction = rng.uniform(0, 2 * np.pi, (count, WAVES))
    number = 2 * np.pi / rng.uniform(*WAVELENGTH_MM, (count, WAVES))
    arrays = (
        linear,
        -(linear @ shift[..., None])[..., 0],
        number[..., None] * np.stack([np.cos(direction), np.sin(direction)], axis=-1),
        rng.uniform(0, 2 * np.pi, (count, WAVES)),
        rng.uniform(-1, 1, (count, WAVES, 2)) * elastic_mm / WAVES,
        np.where(flip, -1.0, 1.0),
    )
    return HeadPose(*(torch.from_numpy(a).float() for a in arrays))


def magnification(poses: HeadPose) -> torch.Tensor:
    """(b,) magnification of the heads; rotation and shear keep areas."""
    return torch.linalg.det(poses.linear).abs().rsqrt()
