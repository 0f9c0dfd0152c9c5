"""Scouts on which no head may be planned: empty ones, phantoms, drawn shapes, what lies below the head.

Each input is a name and a function that makes or reads its stacks: what is in the log already is not made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.scouts.dicom import read_dicom_frames, stacks_from_frames
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice, ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes
from LandmarkTrainingLib.core.evaluation.evaluation import add_noise
from LandmarkTrainingLib.core.reference_heads.heads import Head
from LandmarkTrainingLib.core.reference_heads.poses import STRAIGHT, head_to_scanner, posed_volume

from .conditions import FIVE, ONE
from .effects import FieldOfView, rayleigh_noise

Inputs = Iterator[tuple[str, Callable[[], Sequence[ScoutStack]]]]

NOISE = 0.02

#: Scouts of the neck cross so far below the middle of the head, and reach so far up from there: to 70 mm below that
#: middle, where the cerebellum ends about 62 mm below it.
BELOW_MM, NECK_REACH_MM = 130.0, 60.0


def empty_scouts() -> Inputs:
    """No signal at all, and nothing but noise."""
    for name, geometry in (("5 slices", FIVE), ("1 slice", ONE)):
        blank = Volume(np.zeros((2, 2, 2), np.float32), np.eye(4))
        for grey, value in (("black", 0.0), ("constant", 100.0)):
            yield f"{grey}, {name}", partial(_filled, blank, geometry, lambda s, v=value: np.full_like(s.pixels, v))
        rng = np.random.default_rng(1)
        yield f"noise, {name}", partial(_filled, blank, geometry, lambda s, r=rng: rayleigh_noise(s.pixels.shape, r))


def phantoms(data: Path) -> Inputs:
    """The studies in ``data/localizers``: each folder, or those of a single plane taken together."""
    folders = sorted(path for path in (data / "localizers").glob("*") if path.is_dir())
    whole = [folder for folder in folders if len({stack.plane for stack in _stacks_in(folder)}) > 1]
    single = [folder for folder in folders if folder not in whole]
    for folder in whole:
        yield folder.name, partial(_stacks_in, folder)
    if single:
        yield f"{single[0].name} and {len(single) - 1} more", lambda: [s for f in single for s in _stacks_in(f)]


def drawn_shapes() -> Inputs:
    """Bodies as large as a head without its anatomy, and outlines that do not change from slice to slice."""
    turn = Rotation.from_euler("xyz", [8, -6, 10], degrees=True).as_matrix()
    for name, inside in SHAPES.items():
        for geometry in (FIVE, ONE):
            yield f"{name}, {_count(geometry)}", partial(_cut, _drawn(inside), geometry, turn)


def below_heads(heads: Sequence[Head]) -> Inputs:
    """Neck and shoulders, as far as the images of heads reach down; the head itself is outside the scouts."""
    for head in heads:
        yield f"below {head.id}", partial(_below, head)


def _below(head: Head) -> list[ScoutStack]:
    transform = head_to_scanner(STRAIGHT, head.origin_mm, head.axes)
    transform[2, 3] += BELOW_MM
    rng = np.random.default_rng(0)
    field = FieldOfView(high_mm=(np.inf, np.inf, NECK_REACH_MM))
    return add_noise(
        field(cut_three_planes(posed_volume(head.volume(), transform), FIVE, np.zeros(3)), rng), NOISE, rng
    )


def _stacks_in(folder: Path) -> list[ScoutStack]:
    """The stacks of a DICOM folder, of however many planes; without frames of reference, so that they can be joined."""
    frames = [frame for path in sorted(folder.iterdir()) for frame in read_dicom_frames(path)]
    return [replace(stack, frame_of_reference=None) for stack in stacks_from_frames(frames, str(folder))]


def _ball(p: np.ndarray) -> np.ndarray:
    return 100.0 * (np.linalg.norm(p, axis=-1) < 85)


def _ellipsoid(p: np.ndarray) -> np.ndarray:
    """Scalp, skull and an even brain."""
    radius = np.linalg.norm(p / [66, 84, 72], axis=-1)
    return np.select([radius < 1, radius < 1.08, radius < 1.18], [60.0, 10.0, 100.0], 0.0)


def _ellipsoid_with_holes(p: np.ndarray) -> np.ndarray:
    """The same with two dark bodies like ventricles in it."""
    holes = [np.linalg.norm((p - [x, -5, 10]) / [8, 30, 12], axis=-1) < 1 for x in (-14, 14)]
    return np.where(holes[0] | holes[1], 15.0, _ellipsoid(p))


def _box(p: np.ndarray) -> np.ndarray:
    return 100.0 * (np.abs(p) < [70, 85, 80]).all(axis=-1)


def _bottle_with_rods(p: np.ndarray) -> np.ndarray:
    """A cylinder along the bore with dark rods in it, as scanners are tested with."""
    axial = np.hypot(p[..., 0], p[..., 1])
    rods = np.any([np.hypot(p[..., 0] - x, p[..., 1] - y) < 9 for x in (-40, 0, 40) for y in (-40, 0, 40)], axis=0)
    return np.where(rods, 20.0, 100.0) * ((axial < 90) & (np.abs(p[..., 2]) < 75))


#: Name -> brightness at points (..., 3) mm.
SHAPES = {
    "ball": _ball,
    "ellipsoid with rim": _ellipsoid,
    "ellipsoid with holes": _ellipsoid_with_holes,
    "box": _box,
    "bottle with rods": _bottle_with_rods,
}


def _drawn(inside: Callable[[np.ndarray], np.ndarray], voxel_mm: float = 2.0) -> Volume:
    axis = np.arange(-110.0, 110.1, voxel_mm)
    affine = np.diag([voxel_mm] * 3 + [1.0])
    affine[:3, 3] = axis[0]
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return Volume(inside(grid).astype(np.float32), affine)


def _cut(volume: Volume, geometry: ScoutGeometry, turn: np.ndarray) -> list[ScoutStack]:
    transform = np.eye(4)
    transform[:3, :3] = turn
    stacks = cut_three_planes(posed_volume(volume, transform), geometry, np.zeros(3))
    return add_noise(stacks, NOISE, np.random.default_rng(0))


def _filled(blank: Volume, geometry: ScoutGeometry, pixels: Callable[[ScoutSlice], np.ndarray]) -> list[ScoutStack]:
    stacks = cut_three_planes(blank, geometry, np.zeros(3))
    return [replace(stack, slices=tuple(replace(s, pixels=pixels(s)) for s in stack.slices)) for stack in stacks]


def _count(geometry: ScoutGeometry) -> str:
    return "1 slice" if geometry.slices == 1 else f"{geometry.slices} slices"
