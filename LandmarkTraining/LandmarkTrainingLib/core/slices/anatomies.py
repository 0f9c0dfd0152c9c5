"""Several anatomies learnt by one network: batches of one anatomy in turn, and each anatomy's own view of the network.

Only a network whose ``of_anatomy`` gives one anatomy's part of it can learn several (``gu2net``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..simulator.render import SliceBatch
from .batches import TrainingData
from .sources import SliceSource


@dataclass(frozen=True, eq=False)
class AnatomyBatch(SliceBatch):
    """Slices of one of a run's anatomies, with its landmarks only; ``anatomy`` is its number in the network."""

    anatomy: int


@dataclass(frozen=True, eq=False)
class AlternatingSource:
    """Batches of one anatomy each, in alternation.

    Attributes:
        parts: sources of the anatomies.
        shares: how many of the batches are of each, drawn at random, summing to 1 (Zhu et al. 2021 draw in proportion
            to the number of images); None: batch number i is of anatomy i modulo their number.
    """

    parts: Sequence[SliceSource]
    shares: Sequence[float] | None = None

    def batch(self, count: int, seed: tuple[int, ...]) -> AnatomyBatch:
        """``count`` slices of one anatomy; the last number of ``seed`` is that of the batch."""
        anatomy = seed[-1] % len(self.parts)
        if self.shares is not None:
            anatomy = int(np.random.default_rng((*seed, len(self.parts))).choice(len(self.parts), p=self.shares))
        return AnatomyBatch(**vars(self.parts[anatomy].batch(count, seed)), anatomy=anatomy)


def joint_data(parts: Sequence[TrainingData], shares: Sequence[float] | None = None) -> TrainingData:
    """The data of several anatomies as those of one run; the landmarks of each follow those of the one before.

    Args:
        shares: of the batches, see ``AlternatingSource``.
    """
    first = np.cumsum([0, *(len(part.names) for part in parts)])
    return TrainingData(
        names=tuple(name for part in parts for name in part.names),
        mirror=np.concatenate([part.mirror + start for part, start in zip(parts, first, strict=False)]),
        source=AlternatingSource([part.source for part in parts], shares),
        check=parts[0].check,
        anatomies=tuple(parts),
    )


def each_anatomy(network: Any, data: TrainingData) -> list[tuple[Any, TrainingData]]:
    """The network and the data of each anatomy of a run: those given, unless several are learnt together."""
    if not data.anatomies:
        return [(network, data)]
    return [(network.of_anatomy(number), part) for number, part in enumerate(data.anatomies)]
