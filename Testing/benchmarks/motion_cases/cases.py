"""Studies with known motion of one stack, simulated from label maps or cut from real heads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.geometry.rotations import rotation_about
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.simulator.study_rendering import simulated_study
from LandmarkTrainingLib.core.simulator.study_variety import StudyMotion

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
    from LandmarkTrainingLib.core.reference_heads.heads import Head
    from LandmarkTrainingLib.core.simulator.label_heads import LabelHeads

#: Slices per plane -> geometry of all planes.
GEOMETRIES = {
    1: ScoutGeometry(1, 0.0, 6.0),
    3: ScoutGeometry(3, 15.0, 6.0),
    5: ScoutGeometry(5, 12.0, 6.0),
    9: ScoutGeometry(9, 10.0, 5.0),
    15: ScoutGeometry(15, 8.0, 6.0),
}


@dataclass(frozen=True)
class Size:
    """How far the head moves before one stack, in a random direction and about a random axis."""

    shift_mm: float = 0.0
    rotation_deg: float = 0.0

    def __str__(self) -> str:
        parts = [f"{self.shift_mm:g} mm"] * (self.shift_mm > 0) + [f"{self.rotation_deg:g} deg"] * (
            self.rotation_deg > 0
        )
        return " and ".join(parts) or "at rest"


@dataclass(frozen=True, eq=False)
class MotionCase:
    """One study: while stack ``moved`` was acquired a scanner point x of the head lay at rotation @ x + shift_mm."""

    stacks: tuple[ScoutStack, ...]
    moved: int
    rotation_deg: np.ndarray
    shift_mm: np.ndarray


def simulated_cases(
    heads: LabelHeads, constellation: Constellation, slices: int, size: Size, count: int, seed: int
) -> Iterator[MotionCase]:
    """Random heads, poses, shapes, contrasts and shading; the same ones for every size."""
    geometry = GEOMETRIES[slices]
    stack_of = np.repeat(np.arange(len(PLANES)), slices)
    for number in range(count):
        moved, rotation_deg, shift_mm = _drawn(size, (seed, slices, number))
        here = (stack_of == moved)[:, None]
        turn = rotation_about(np.deg2rad(rotation_deg))
        rotations = np.where(here[..., None], turn, np.eye(3))
        motion = StudyMotion(rotations, here * shift_mm)
        study = simulated_study(heads, constellation, geometry, (seed, slices, number), SliceSettings(), motion)
        yield MotionCase(study.stacks, moved, rotation_deg, shift_mm)


def cut_cases(heads: list[Head], slices: int, size: Size, seed: int, noise: float = 0.02) -> Iterator[MotionCase]:
    """Every real head in a random pose, cut into slices; noise over the brightest pixel of each stack."""
    from LandmarkTrainingLib.core.reference_heads.poses import head_to_scanner, posed_volume, random_pose

    for number, head in enumerate(heads):
        moved, rotation_deg, shift_mm = _drawn(size, (seed, slices, number))
        rng = np.random.default_rng((seed, number))
        place = head_to_scanner(random_pose(rng), head.origin_mm, head.axes)
        motion = np.eye(4)
        motion[:3, :3], motion[:3, 3] = rotation_about(np.deg2rad(rotation_deg)), shift_mm
        volume, stacks = head.volume(), []
        for stack, plane in enumerate(PLANES):
            seen = posed_volume(volume, motion @ place if stack == moved else place)
            (cut,) = cut_three_planes(seen, GEOMETRIES[slices], center_mm=np.zeros(3), planes=[plane])
            stacks.append(_noisy(cut, noise, rng))
        yield MotionCase(tuple(stacks), moved, rotation_deg, shift_mm)


def _drawn(size: Size, seed: tuple[int, ...]) -> tuple[int, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    moved, directions = int(rng.integers(len(PLANES))), rng.normal(size=(2, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return moved, size.rotation_deg * directions[0], size.shift_mm * directions[1]


def _noisy(stack: ScoutStack, noise: float, rng: np.random.Generator) -> ScoutStack:
    sd = noise * max(float(s.pixels.max()) for s in stack.slices)
    slices = []
    for s in stack.slices:
        real, imaginary = rng.normal(0, sd, (2, *s.pixels.shape))
        slices.append(replace(s, pixels=np.hypot(s.pixels + real, imaginary).astype(np.float32)))
    return replace(stack, slices=tuple(slices))
