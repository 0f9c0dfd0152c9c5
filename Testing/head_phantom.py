"""A made-up head for tests of the evaluation: the reference constellation in an ellipsoid with a brain in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.scouts.volume import Volume
from LandmarkTrainingLib.core.reference_heads.brain_extremes import EXTREMES
from LandmarkTrainingLib.core.reference_heads.heads import Head

#: Middle and half axes of the brain in the AC-PC frame, mm.
BRAIN_CENTER, BRAIN_RADII = np.array([0.0, -20.0, 7.0]), np.array([66.0, 84.0, 64.0])

#: Place, radius in mm and brightness of structures: ventricle, cerebellum, basal ganglia, eyes and the like.
BLOBS = (
    ([0, 20, 15], 14, 110),
    ([0, -45, 20], 18, 20),
    ([30, -10, -20], 13, 95),
    ([-30, -10, -20], 13, 95),
    ([0, -60, -35], 16, 35),
    ([0, 50, 0], 12, 25),
    ([33, 50, -22], 13, 120),
    ([-33, 50, -22], 13, 120),
)


class PhantomHead(Head):
    """A head whose image is made, not read."""

    def volume(self) -> Volume:
        return phantom_volume()


def phantom_volume(voxel_mm: float = 3.0) -> Volume:
    """Scalp, skull, brain and some bright and dark structures in it; world = AC-PC frame."""
    axis = np.arange(-108.0, 109.0, voxel_mm)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1) + BRAIN_CENTER
    radius = np.linalg.norm((grid - BRAIN_CENTER) / BRAIN_RADII, axis=-1)
    image = np.select([radius < 1, radius < 1.08, radius < 1.18], [60.0, 15.0, 100.0], 0.0)
    image[(np.abs(grid[..., 0]) < 4) & (radius < 1) & (grid[..., 2] > 25)] = 10.0  # the falx: without it roll is free
    for center, size, value in BLOBS:
        image[np.linalg.norm(grid - center, axis=-1) < size] = value
    affine = np.diag([voxel_mm] * 3 + [1.0])
    affine[:3, 3] = BRAIN_CENTER - 108.0
    return Volume(image.astype(np.float32), affine, "phantom")


def phantom_head(protocol: Protocol, name: str = "phantom") -> Head:
    """The reference constellation as a head, its points known to 1 mm; the brain surface as points."""
    points = {m.name: np.array(m.reference_mm, dtype=float) for m in protocol.constellation.landmarks}
    covariances = {name: np.eye(3) for name in points}
    return PhantomHead(name, "validation", "nobody", "phantom", Path("none"), points, covariances, brain_surface())


def brain_surface(count: int = 3000) -> np.ndarray:
    """Points of an ellipsoid that reaches the typical extremes along each axis."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return BRAIN_CENTER + directions * BRAIN_RADII


def typical_extreme_points() -> np.ndarray:
    """A little patch of brain points at the usual place of every extreme, in the AC-PC frame."""
    patch = np.array([[0, 0], [3, 0], [0, 3], [-3, 0], [0, -3]], dtype=float)
    points = []
    for extreme in EXTREMES:
        place = np.tile(np.array(extreme.typical_mm), (len(patch), 1))
        place[:, np.arange(3) != extreme.axis] += patch
        points.append(place)
    return np.concatenate(points)
