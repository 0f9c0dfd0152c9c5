"""Scouts without the anatomy: drawn bodies as large as a head, noise, and what lies below a head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes

from ...reference_heads.heads import Head
from ...reference_heads.poses import Pose, head_to_scanner, posed_volume

#: Scouts of the neck cross so far below the middle of the head, mm: the cerebellum ends about 62 mm below that middle.
BELOW_MM = (110.0, 140.0)

#: Half the side of a drawn volume, its voxels, mm, and the size of bodies over those of SHAPES.
HALF_SIDE_MM, VOXEL_MM, SIZES = 110.0, 2.0, (0.8, 1.1)

#: Names of what is not a drawn shape.
NOISE_SHAPE, BELOW = "noise", "below a head"


def ball(p: np.ndarray) -> np.ndarray:
    """Brightness of an even ball at points (..., 3) mm."""
    return 100.0 * (np.linalg.norm(p, axis=-1) < 85)


def ellipsoid(p: np.ndarray) -> np.ndarray:
    """Scalp, skull and an even brain."""
    radius = np.linalg.norm(p / [66, 84, 72], axis=-1)
    return np.select([radius < 1, radius < 1.08, radius < 1.18], [60.0, 10.0, 100.0], 0.0)


def ellipsoid_with_holes(p: np.ndarray) -> np.ndarray:
    """The same with two dark bodies like ventricles in it."""
    holes = [np.linalg.norm((p - [x, -5, 10]) / [8, 30, 12], axis=-1) < 1 for x in (-14, 14)]
    return np.where(holes[0] | holes[1], 15.0, ellipsoid(p))


def box(p: np.ndarray) -> np.ndarray:
    """An even box."""
    return 100.0 * (np.abs(p) < [70, 85, 80]).all(axis=-1)


def bottle_with_rods(p: np.ndarray) -> np.ndarray:
    """A cylinder along the bore with dark rods in it, as scanners are tested with."""
    axial = np.hypot(p[..., 0], p[..., 1])
    rods = np.any([np.hypot(p[..., 0] - x, p[..., 1] - y) < 9 for x in (-40, 0, 40) for y in (-40, 0, 40)], axis=0)
    return np.where(rods, 20.0, 100.0) * ((axial < 90) & (np.abs(p[..., 2]) < 75))


#: Name -> brightness at points (..., 3) mm.
SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ball": ball,
    "ellipsoid with rim": ellipsoid,
    "ellipsoid with holes": ellipsoid_with_holes,
    "box": box,
    "bottle with rods": bottle_with_rods,
}


def shape_scouts(name: str, geometry: ScoutGeometry, rng: np.random.Generator) -> list[ScoutStack]:
    """Scouts of a body of SHAPES of random size, place and rotation, without noise."""
    size = rng.uniform(*SIZES)
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_euler("xyz", rng.uniform(-15, 15, 3), degrees=True).as_matrix()
    transform[:3, 3] = rng.uniform(-15, 15, 3)
    volume = drawn(lambda points: SHAPES[name](points / size))
    return cut_three_planes(posed_volume(volume, transform), geometry, np.zeros(3))


def noise_scouts(geometry: ScoutGeometry, rng: np.random.Generator) -> list[ScoutStack]:
    """Scouts that show nothing but structureless noise, smoothed to look like an image."""
    from scipy.ndimage import gaussian_filter

    blank = Volume(np.zeros((2, 2, 2), np.float32), np.eye(4))
    stacks, width = cut_three_planes(blank, geometry, np.zeros(3)), rng.uniform(1.0, 12.0)

    def filled(pixels: np.ndarray) -> np.ndarray:
        smooth = np.abs(gaussian_filter(rng.normal(size=pixels.shape), width))
        return (100 * smooth / smooth.max()).astype(np.float32)

    return [replace(s, slices=tuple(replace(one, pixels=filled(one.pixels)) for one in s.slices)) for s in stacks]


def below_head(head: Head, volume: Volume, pose: Pose, geometry: ScoutGeometry, depth_mm: float) -> list[ScoutStack]:
    """Neck and shoulders, as far as the image of a head reaches down: ``depth_mm`` below the middle of the head."""
    transform = head_to_scanner(pose, head.origin_mm, head.axes)
    transform[2, 3] += depth_mm
    stacks = cut_three_planes(posed_volume(volume, transform), geometry, np.zeros(3))
    return [_cut_above(stack, depth_mm - 70.0) for stack in stacks]


def _cut_above(stack: ScoutStack, height_mm: float) -> ScoutStack:
    """The stack without signal above a height (scanner RAS): the head itself is outside the field of view."""

    def below(pixels: np.ndarray, heights: np.ndarray) -> np.ndarray:
        return np.where(heights < height_mm, pixels, 0.0).astype(np.float32)

    slices = []
    for one in stack.slices:
        rows, columns = np.indices(one.pixels.shape)
        step_row, step_column = one.spacing_mm
        heights = one.origin_mm[2] + rows * step_row * one.row_axis[2] + columns * step_column * one.column_axis[2]
        slices.append(replace(one, pixels=below(one.pixels, heights)))
    return replace(stack, slices=tuple(slices))


def drawn(inside: Callable[[np.ndarray], np.ndarray]) -> Volume:
    """The body with brightness ``inside`` at points (..., 3) mm about the isocentre, as an image."""
    axis = np.arange(-HALF_SIDE_MM, HALF_SIDE_MM + 0.1, VOXEL_MM)
    affine = np.diag([VOXEL_MM] * 3 + [1.0])
    affine[:3, 3] = axis[0]
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return Volume(inside(grid).astype(np.float32), affine)
