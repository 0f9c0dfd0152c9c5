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
from LandmarkTrainingLib.core.coverage.risk.non_heads import SHAPES, drawn
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
            yield f"{name}, {_count(geometry)}", partial(_cut, drawn(inside), geometry, turn)


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
