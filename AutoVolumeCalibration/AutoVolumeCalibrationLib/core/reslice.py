"""Cut thick slices out of a 3D volume, the way a scanner would acquire scouts of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .coordinates import PLANE_NORMAL_AXIS, PLANES
from .scouts import ScoutSlice, ScoutStack

#: In-plane world axes (column axis, row axis) of a slice in standard orientation, per plane:
#: sagittal shows anterior x superior, coronal right x superior, axial right x anterior.
IN_PLANE_AXES = {"sagittal": (1, 2), "coronal": (0, 2), "axial": (0, 1)}


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image: ``array`` (i, j, k) and ``affine`` (4, 4) from (i, j, k) to RAS mm."""

    array: np.ndarray
    affine: np.ndarray
    name: str = ""

    @property
    def center_mm(self) -> np.ndarray:
        """(3,) RAS position of the middle of the volume."""
        return self.affine[:3, :3] @ ((np.array(self.array.shape) - 1) / 2) + self.affine[:3, 3]

    def sample(self, points_mm: np.ndarray) -> np.ndarray:
        """Trilinear values (...,) at RAS points (..., 3); 0 outside the volume."""
        from scipy.ndimage import map_coordinates

        inverse = np.linalg.inv(self.affine)
        index = np.asarray(points_mm) @ inverse[:3, :3].T + inverse[:3, 3]
        return map_coordinates(
            self.array, np.moveaxis(index, -1, 0), order=1, mode="constant", cval=0.0, output=np.float32
        )


@dataclass(frozen=True)
class ScoutGeometry:
    """How a three-plane scout is acquired.

    Attributes:
        slices: slices per plane.
        gap_mm: distance between the centres of neighbouring slices.
        thickness_mm: slice thickness.
        pixel_mm: in-plane pixel size (square).
        matrix: pixels per side (square).
    """

    slices: int = 5
    gap_mm: float = 12.0
    thickness_mm: float = 6.0
    pixel_mm: float = 1.0
    matrix: int = 256


def cut_slice(
    volume: Volume,
    center_mm: np.ndarray,
    column_axis: np.ndarray,
    row_axis: np.ndarray,
    geometry: ScoutGeometry,
    profile_samples: int = 5,
) -> ScoutSlice:
    """One slice of ``volume`` around ``center_mm`` (3,) RAS, averaged over its thickness.

    The slice profile is a box of ``geometry.thickness_mm``, sampled ``profile_samples`` times.
    """
    n, pixel = geometry.matrix, geometry.pixel_mm
    origin = center_mm - (n - 1) / 2 * pixel * (column_axis + row_axis)
    steps = np.arange(n) * pixel
    plane = origin + steps[:, None, None] * row_axis + steps[None, :, None] * column_axis
    normal = np.cross(column_axis, row_axis)
    depths = ((np.arange(profile_samples) + 0.5) / profile_samples - 0.5) * geometry.thickness_mm
    pixels = np.mean([volume.sample(plane + depth * normal) for depth in depths], axis=0)
    return ScoutSlice(
        pixels.astype(np.float32), origin, column_axis, row_axis, (pixel, pixel), geometry.thickness_mm, volume.name
    )


def cut_three_planes(
    volume: Volume,
    geometry: ScoutGeometry,
    center_mm: np.ndarray | None = None,
    axes: np.ndarray | None = None,
    planes: Sequence[str] = PLANES,
) -> list[ScoutStack]:
    """Scouts of ``volume`` in three planes through ``center_mm``.

    Args:
        center_mm: (3,) RAS, where the stacks cross; the volume's middle when None.
        axes: (3, 3), rows are the right, anterior and superior directions of the scouts in the
            volume's world; the world's own when None.
        planes: which planes to cut.
    """
    center = volume.center_mm if center_mm is None else np.asarray(center_mm, dtype=float)
    axes = np.eye(3) if axes is None else np.asarray(axes, dtype=float)
    stacks = []
    for plane in planes:
        column, row = IN_PLANE_AXES[plane]
        normal = axes[PLANE_NORMAL_AXIS[plane]]
        offsets = (np.arange(geometry.slices) - (geometry.slices - 1) / 2) * geometry.gap_mm
        slices = tuple(cut_slice(volume, center + o * normal, axes[column], axes[row], geometry) for o in offsets)
        stacks.append(ScoutStack(plane, slices, None, volume.name))
    return stacks
