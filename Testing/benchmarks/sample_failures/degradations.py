"""How the sample study is degraded: effects that scouts of a known place and size are enough for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice, ScoutStack
from benchmarks.limits_of_scouts.effects import Effect, FieldOfView, MotionGhosts, NoPlane, WrapAround
from LandmarkTrainingLib.core.evaluation.evaluation import add_noise


@dataclass(frozen=True)
class OnlySlices:
    """Of every stack the slices of these indices."""

    indices: tuple[int, ...]

    def __call__(self, stacks: Sequence[ScoutStack], rng: np.random.Generator) -> list[ScoutStack]:
        return [replace(stack, slices=tuple(stack.slices[index] for index in self.indices)) for stack in stacks]


@dataclass(frozen=True)
class Moved:
    """The patient turned and then moved before one plane was scanned: the images stay, their places do not.

    Attributes:
        turn_deg: rotation vector about the isocentre, RAS.
        shift_mm: RAS.
    """

    plane: str
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __call__(self, stacks: Sequence[ScoutStack], rng: np.random.Generator) -> list[ScoutStack]:
        return [self._moved(stack) if stack.plane == self.plane else stack for stack in stacks]

    def _moved(self, stack: ScoutStack) -> ScoutStack:
        turn = Rotation.from_rotvec(self.turn_deg, degrees=True).as_matrix()
        slices = (
            replace(
                s,
                origin_mm=turn @ s.origin_mm + self.shift_mm,
                column_axis=turn @ s.column_axis,
                row_axis=turn @ s.row_axis,
            )
            for s in stack.slices
        )
        return replace(stack, slices=tuple(slices))


@dataclass(frozen=True)
class Noise:
    """Rician noise of standard deviation ``level`` times the brightest pixel of each stack."""

    level: float

    def __call__(self, stacks: Sequence[ScoutStack], rng: np.random.Generator) -> list[ScoutStack]:
        return add_noise(stacks, self.level, rng)


@dataclass(frozen=True)
class Repainted:
    """Every slice with the pixels that ``paint`` makes of it."""

    paint: Callable[[ScoutSlice], np.ndarray]

    def __call__(self, stacks: Sequence[ScoutStack], rng: np.random.Generator) -> list[ScoutStack]:
        return [
            replace(stack, slices=tuple(replace(s, pixels=self.paint(s)) for s in stack.slices)) for stack in stacks
        ]


def inverted(scout_slice: ScoutSlice) -> np.ndarray:
    """Bright where it was dark."""
    return scout_slice.pixels.max() - scout_slice.pixels


def without_left(scout_slice: ScoutSlice) -> np.ndarray:
    """No signal left of the isocentre."""
    return np.where(_places_mm(scout_slice)[..., 0] > 0, scout_slice.pixels, 0)


def with_void(scout_slice: ScoutSlice) -> np.ndarray:
    """No signal in a ball of 50 mm in the front of the brain."""
    distance_mm = np.linalg.norm(_places_mm(scout_slice) - [4.0, 40.0, 20.0], axis=-1)
    return np.where(distance_mm > 25.0, scout_slice.pixels, 0)


def _places_mm(scout_slice: ScoutSlice) -> np.ndarray:
    """(rows, columns, 3) RAS of the pixels."""
    return scout_slice.to_world(np.moveaxis(np.indices(scout_slice.pixels.shape), 0, -1))


_FIRST, _MIDDLE, _LAST = OnlySlices((0,)), OnlySlices((2,)), OnlySlices((4,))

#: Name of the picture -> what was done in words, and the effects, one after the other.
DEGRADATIONS: dict[str, tuple[str, tuple[Effect, ...]]] = {
    "middle": ("one slice per plane, the middle one", (_MIDDLE,)),
    "first": ("one slice per plane, 24 mm left, posterior and inferior", (_FIRST,)),
    "last": ("one slice per plane, 24 mm right, anterior and superior", (_LAST,)),
    "last_no_sagittal": ("one coronal slice 24 mm anterior, one axial 24 mm superior", (_LAST, NoPlane("sagittal"))),
    "no_sagittal": ("no sagittal scout", (NoPlane("sagittal"),)),
    "no_axial": ("no axial scout", (NoPlane("axial"),)),
    "cut_off": (
        "field of view ends 45 mm above and 55 mm before the isocentre",
        (FieldOfView(high_mm=(np.inf, 55.0, 45.0)),),
    ),
    "noise_15": ("noise of 15 % of the brightest pixel", (Noise(0.15),)),
    "noise_30": ("noise of 30 % of the brightest pixel", (Noise(0.30),)),
    "moved_4": ("patient moved 4 mm before the axial scout", (Moved("axial", shift_mm=(0.0, 4.0, 0.0)),)),
    "moved_8": ("patient moved 8 mm before the axial scout", (Moved("axial", shift_mm=(0.0, 8.0, 0.0)),)),
    "turned": ("patient turned the head by 10 deg before the axial scout", (Moved("axial", (0.0, 0.0, 10.0)),)),
    "nodded": ("patient nodded by 10 deg before the sagittal scout", (Moved("sagittal", (10.0, 0.0, 0.0)),)),
    "sagittal_wrapped": ("sagittal field of view of 130 mm, the rest folds in", (WrapAround("sagittal", 130.0),)),
    "wrapped": (
        "field of view of 140 mm in all planes, the rest folds in",
        tuple(WrapAround(plane, 140.0) for plane in PLANES),
    ),
    "ghosts_60": ("motion ghosts of 60 % in all planes", tuple(MotionGhosts(plane, 0.6) for plane in PLANES)),
    "ghosts_100": ("motion ghosts of 100 % in all planes", tuple(MotionGhosts(plane, 1.0) for plane in PLANES)),
    "inverted": ("grey values inverted", (Repainted(inverted),)),
    "void": ("signal void of 50 mm in the front of the brain", (Repainted(with_void),)),
    "half": ("no signal from the left half of the head", (Repainted(without_left),)),
}
