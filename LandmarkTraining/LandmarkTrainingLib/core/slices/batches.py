"""Training batches as network inputs, in an order that depends on the seed alone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.network_input import encode_slices

from ..config import TrainingConfig
from ..simulator.label_heads import LabelHeads
from ..simulator.render import SliceBatch
from .sources import SliceSource


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Training and validation data of a run.

    Attributes:
        names: the k landmarks in channel order.
        mirror: (k,) index of each landmark's left/right partner, its own where there is none.
        source: of the training slices.
        check: fixed validation slices, never used for training.
        check_heads: label maps to measure the uncertainty on, if any.
        facts: numbers that describe the data, for the bundle's metadata.
        title: of the anatomy, where several are learnt together.
        anatomies: of a run that learns several: the data of each, with a ``check`` of its own (``anatomies``).
    """

    names: tuple[str, ...]
    mirror: np.ndarray
    source: SliceSource
    check: SliceBatch
    check_heads: LabelHeads | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    anatomies: tuple[TrainingData, ...] = ()


class Batches(torch.utils.data.Dataset):
    """Batch number i of a run; the same i gives the same batch in any process."""

    def __init__(self, source: SliceSource, config: TrainingConfig) -> None:
        self._source, self._config = source, config

    def __getitem__(self, index: int) -> SliceBatch:
        return self._source.batch(self._config.batch_size, (self._config.seed, int(index)))


class Numbers(torch.utils.data.Sampler):
    """Every ``step``-th batch number from ``start`` to before ``end``; a resumed run starts later."""

    def __init__(self, start: int, end: int, step: int = 1) -> None:
        self._range = range(start, end, step)

    def __iter__(self) -> Iterator[int]:
        return iter(self._range)

    def __len__(self) -> int:
        return len(self._range)


def batch_loader(batches: Batches, numbers: Numbers, workers: int) -> torch.utils.data.DataLoader:
    """Loader of the numbered batches, made by ``workers`` processes in order."""
    return torch.utils.data.DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_set_up_worker,
    )


def encode(batch: SliceBatch) -> torch.Tensor:
    """Network input of a batch."""
    return encode_images(batch.images, batch.planes)


def encode_images(images: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
    """Network input (n, 4, H, W) of images (n, H, W) and plane indices (n,), both on the CPU."""
    return torch.from_numpy(encode_slices(images.numpy(), planes.numpy()))


def _set_up_worker(_worker: int) -> None:
    """One thread each; a terminal signals all processes, but only the main one must decide when to stop."""
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
