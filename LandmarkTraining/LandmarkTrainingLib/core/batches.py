"""Batches of simulated slices as network inputs and targets, in an order that depends on the seed alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.heatmaps import render_targets, to_heatmap_pixels
from AutoVolumeCalibrationLib.core.network_input import encode_slices

from .config import TrainingConfig
from .simulator.label_heads import LabelHeads
from .simulator.render import SliceBatch, SliceSettings, simulate_batch
from .simulator.volume_heads import VolumeHead, simulate_volume_batch


@dataclass(frozen=True)
class TargetSettings:
    """Size and fall-off of the targets, and how much coarser than the image they are."""

    sigma_mm: float
    tau_mm: float
    stem: int
    pixel_mm: float

    @property
    def sigma_pixels(self) -> float:
        """Standard deviation in heatmap pixels."""
        return self.sigma_mm / (self.pixel_mm * self.stem)


def target_settings(config: TrainingConfig, slices: SliceSettings) -> TargetSettings:
    """The targets' settings of a run."""
    return TargetSettings(config.sigma_mm, config.tau_mm, config.options.get("stem", 1), slices.pixel_mm)


def make_targets(batch: SliceBatch, settings: TargetSettings) -> torch.Tensor:
    """(b, k, H / stem, W / stem) target heatmaps; zero where a landmark is unknown or out of view."""
    heights = torch.exp(-(batch.depths_mm.nan_to_num(1e4) ** 2) / (2 * settings.tau_mm**2)) * batch.visible
    height, width = (n // settings.stem for n in batch.images.shape[-2:])
    points = to_heatmap_pixels(batch.points, settings.stem)
    return render_targets(points, heights, (height, width), settings.sigma_pixels)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a run learns from and is watched on.

    Attributes:
        train, check: heads to learn from and to watch the error on.
        mirror: (k,) index of each landmark's left/right partner.
        volumes: real volumes that ``volume_fraction`` of the slices are cut from.
    """

    train: LabelHeads
    check: LabelHeads
    mirror: np.ndarray
    volumes: Sequence[VolumeHead] = ()


class SimulatedBatches(torch.utils.data.Dataset):
    """Batch number i of a run; the same i gives the same batch in any process."""

    def __init__(self, data: TrainingData, config: TrainingConfig, slices: SliceSettings) -> None:
        self._data, self._config, self._slices = data, config, slices

    def __len__(self) -> int:
        return self._config.steps

    def __getitem__(self, index: int) -> SliceBatch:
        data, config, seed = self._data, self._config, (self._config.seed, int(index))
        real = int(np.random.default_rng((*seed, 1)).binomial(config.batch_size, config.volume_fraction))
        real = real if data.volumes else 0
        parts = []
        if real < config.batch_size:
            parts.append(simulate_batch(data.train, data.mirror, config.batch_size - real, seed, self._slices))
        if real:
            parts.append(simulate_volume_batch(data.volumes, data.mirror, real, (*seed, 2), self._slices))
        return joined(parts)


def joined(parts: Sequence[SliceBatch]) -> SliceBatch:
    """Several batches as one."""
    return SliceBatch(*(torch.cat(tensors) for tensors in zip(*(vars(p).values() for p in parts), strict=True)))


class RemainingIndices(torch.utils.data.Sampler):
    """The batch numbers from ``start`` on: where a resumed run goes on."""

    def __init__(self, start: int, end: int) -> None:
        self._start, self._end = start, end

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._start, self._end))

    def __len__(self) -> int:
        return self._end - self._start


def batch_loader(dataset: SimulatedBatches, start: int, workers: int) -> torch.utils.data.DataLoader:
    """Loader of the batches from ``start`` on, rendered by ``workers`` processes in order."""
    return torch.utils.data.DataLoader(
        dataset,
        batch_size=None,
        sampler=RemainingIndices(start, len(dataset)),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread,
    )


def encode(batch: SliceBatch) -> torch.Tensor:
    """Network input of a batch."""
    return encode_slices(batch.images, batch.planes)


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
