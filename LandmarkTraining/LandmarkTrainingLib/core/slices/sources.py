"""Sources of training slices: label maps, real volumes, and mixtures with the studies of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from ..simulator.label_heads import LabelHeads
from ..simulator.render import SliceBatch, simulate_batch
from ..simulator.slice_planes import SliceSettings
from ..simulator.volume_heads import VolumeHead, simulate_volume_batch
from .augmentation import Augmentation, augmented
from .study_slices import StudySlices


class SliceSource(Protocol):
    """Gives random slices with their landmarks; the same seed gives the same slices in any process."""

    def batch(self, count: int, seed: tuple[int, ...]) -> SliceBatch: ...


@dataclass(frozen=True, eq=False)
class LabelSource:
    """Slices simulated from label maps; ``mirror`` (k,) is the index of each landmark's left/right partner."""

    heads: LabelHeads
    mirror: np.ndarray
    settings: SliceSettings = field(default_factory=SliceSettings)

    def batch(self, count: int, seed: tuple[int, ...]) -> SliceBatch:
        return simulate_batch(self.heads, self.mirror, count, seed, self.settings)


@dataclass(frozen=True, eq=False)
class VolumeSource:
    """Slices cut from real volumes."""

    volumes: Sequence[VolumeHead]
    mirror: np.ndarray
    settings: SliceSettings = field(default_factory=SliceSettings)

    def batch(self, count: int, seed: tuple[int, ...]) -> SliceBatch:
        return simulate_volume_batch(self.volumes, self.mirror, count, seed, self.settings)


@dataclass(frozen=True, eq=False)
class FixedSlices:
    """Slices drawn, with replacement, from a fixed set, so that all compared networks get the same images.

    Attributes:
        augmentation: None: none.
    """

    slices: SliceBatch
    mirror: np.ndarray
    settings: SliceSettings = field(default_factory=SliceSettings)
    augmentation: Augmentation | None = None

    def batch(self, count: int, seed: tuple[int, ...]) -> SliceBatch:
        rng = np.random.default_rng(seed)
        numbers = torch.from_numpy(rng.integers(0, len(self.slices.images), count))
        chosen = part_of(self.slices, numbers)
        if self.augmentation is None:
            return chosen
        return augmented(as_study_slices(chosen), self.mirror, self.settings, self.augmentation, rng)


@dataclass(frozen=True, eq=False)
class MixedSource:
    """Every slice is drawn from one of several sources, chosen with the given probabilities (summing to 1)."""

    parts: Sequence[SliceSource]
    fractions: Sequence[float]

    def batch(self, count: int, seed: tuple[int, ...]) -> SliceBatch:
        counts = np.random.default_rng((*seed, len(self.parts))).multinomial(count, self.fractions)
        drawn = zip(self.parts, counts, strict=True)
        return joined([part.batch(int(n), (*seed, i)) for i, (part, n) in enumerate(drawn) if n])


def part_of(batch: SliceBatch, index: torch.Tensor | slice) -> SliceBatch:
    """Some slices of a batch."""
    return SliceBatch(*(tensor[index] for tensor in vars(batch).values()))


def as_study_slices(batch: SliceBatch) -> StudySlices:
    """Slices that fill the network's grid, in the form that is augmented."""
    count, matrix = len(batch.images), batch.images.shape[-1]
    fields = torch.tensor([[0, 0], [matrix, matrix]]).expand(count, 2, 2)
    numbers = torch.zeros(count, dtype=torch.long)
    return StudySlices(batch.images, fields, batch.planes, batch.points, batch.depths_mm, numbers, matrix)


def joined(parts: Sequence[SliceBatch]) -> SliceBatch:
    """Several batches as one."""
    if len(parts) == 1:
        return parts[0]
    return SliceBatch(*(torch.cat(tensors) for tensors in zip(*(vars(p).values() for p in parts), strict=True)))
