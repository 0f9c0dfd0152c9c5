"""What can go wrong in a scan, done to clean scouts. An effect takes stacks and a generator, and gives stacks.

Scouts are expected as ``core.scouts.volume`` cuts them: in-plane axes along the scanner's, crossing at the isocentre.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES, unit
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice, ScoutStack


class Effect(Protocol):
    """One thing that is other than it should be."""

    def __call__(self, stacks: Sequence[ScoutStack], rng: np.random.Generator) -> list[ScoutStack]: ...


@dataclass(frozen=True)
class FieldOfView:
    """Nothing beyond ``low_mm`` .. ``high_mm`` (right, anterior, superior of the isocentre) is in the images."""

    low_mm: tuple[float, float, float] = (-np.inf, -np.inf, -np.inf)
    high_mm: tuple[float, float, float] = (np.inf, np.inf, np.inf)
    planes: tuple[str, ...] = PLANES

    def __call__(self, stacks: Sequence[ScoutStack], rng: np.random.Generator) -> list[ScoutStack]:
        return _in_planes(stacks, self.planes, self._cropped)

    def _cropped(self, s: ScoutSlice) -> ScoutSlice:
        rows = self._kept(s.origin_mm, s.row_axis * s.spacing_mm[0], s.pixels.shape[0])
        columns = self._kept(s.origin_mm, s.column_axis * s.spacing_mm[1], s.pixels.shape[1])
        return replace(s, pixels=s.pixels[rows, columns], origin_mm=s.to_world(np.array([rows.start, columns.start])))

    def _kept(self, origin_mm: np.ndarray, step_mm: np.ndarray, count: int) -> slice:
        axis = int(np.argmax(np.abs(step_mm)))
        places = origin_mm[axis] + np.arange(count) * step_mm[axis]
        kept = np.flatnonzero((places >= self.low_mm[axis]) & (places <= self.high_mm[axis]))
        return slice(int(kept[0]), int(kept[-1]) + 1)


@dataclass(frozen=True)
class WrapAround:
    """The columns of one plane's images are encoded for ``field_mm`` only: what lies outside folds in."""

    plane: str
    field_mm: float

    def __call__(self, stacks: Sequence[ScoutStack], rng: np.random.Generator) -> list[ScoutStack]:
        return _in_planes(stacks, (self.plane,), self._folded)

    def _folded(self, s: ScoutSlice) -> ScoutSlice:
        rows, columns = s.pixels.shape
        field = round(self.field_mm / s.spacing_mm[1])
        start = (columns - field) // 2
        before = -start % field  # so that column ``start`` comes to lie on a multiple of the field
        padded = np.pad(s.pixels, ((0, 0), (before, -(columns + before) % field)))
        pixels = padded.reshape(rows, -1, field).sum(axis=1)
        return replace(s, pixels=pixels, origin_mm=s.to_world(np.array([0, start])))


@dataclass(frozen=True)
class MotionGhosts:
    """Copies of one plane's images, a quarter of the field up and down, ``strength`` times as bright."""

    plane: str
    strength: float

    def __call__(self, stacks: Sequence[ScoutStack], rng: np.random.Generator) -> list[ScoutStack]:
        return _in_planes(stacks, (self.plane,), self._haunted)

    def _haunted(self, s: ScoutSlice) -> ScoutSlice:
        step = len(s.pixels) // 4
        ghosts = np.roll(s.pixels, step, axis=0) + np.roll(s.pixels, -step, axis=0)
        return replace(s, pixels=s.pixels + np.float32(self.strength) * ghosts)


@dataclass(frozen=True)
class CoilFallOff:
    """The signal falls by ``factor`` over 180 mm along ``direction`` (RAS), evenly on a log scale."""

    direction: tuple[float, float, float]
    factor: float

    def __call__(self, stacks: Sequence[ScoutStack], rng: np.random.Generator) -> list[ScoutStack]:
        return _in_planes(stacks, PLANES, self._shaded)

    def _shaded(self, s: ScoutSlice) -> ScoutSlice:
        places = s.to_world(np.moveaxis(np.indices(s.pixels.shape), 0, -1))
        gain = self.factor ** (-(places @ unit(np.array(self.direction))) / 180.0)
        return replace(s, pixels=(s.pixels * gain).astype(np.float32))


@dataclass(frozen=True)
class NoPlane:
    """One plane was not scanned."""

    plane: str

    def __call__(self, stacks: Sequence[ScoutStack], rng: np.random.Generator) -> list[ScoutStack]:
        return [stack for stack in stacks if stack.plane != self.plane]


@dataclass(frozen=True)
class EmptyPlane:
    """The slices of one plane hold nothing but noise."""

    plane: str

    def __call__(self, stacks: Sequence[ScoutStack], rng: np.random.Generator) -> list[ScoutStack]:
        return _in_planes(stacks, (self.plane,), lambda s: replace(s, pixels=rayleigh_noise(s.pixels.shape, rng)))


def rayleigh_noise(shape: tuple[int, ...], rng: np.random.Generator, sd: float = 10.0) -> np.ndarray:
    """float32 magnitude noise where there is no signal."""
    real, imaginary = rng.normal(0.0, sd, (2, *shape))
    return np.hypot(real, imaginary).astype(np.float32)


def _in_planes(
    stacks: Sequence[ScoutStack], planes: Sequence[str], change: Callable[[ScoutSlice], ScoutSlice]
) -> list[ScoutStack]:
    """The stacks with every slice of ``planes`` changed."""
    return [
        replace(stack, slices=tuple(map(change, stack.slices))) if stack.plane in planes else stack for stack in stacks
    ]
