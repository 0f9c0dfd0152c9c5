"""The targets of a network on a batch of slices."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from AutoVolumeCalibrationLib.core.detection.heatmaps import render_targets, to_heatmap_pixels
from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import MIDDLE

from ..config import TrainingConfig
from ..simulator.render import SliceBatch
from ..simulator.slice_planes import SliceSettings


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of b slices and k landmarks, on heatmaps of (h, w) pixels.

    Attributes:
        heatmaps: (b, k, h, w) Gaussians.
        points: (b, k, 2) their centres, (row, column) heatmap pixels; NaN where unknown.
        peak_values: (b, k) their peaks, 0..1; 0 where the landmark is unknown or out of view.
        known: (b, k) bool: the truth is known (also where a landmark is out of view); of blended losses a weight, 0..1.
    """

    heatmaps: torch.Tensor
    points: torch.Tensor
    peak_values: torch.Tensor
    known: torch.Tensor

    def to(self, device: torch.device) -> Targets:
        """The same on a device."""
        return Targets(*(tensor.to(device) for tensor in vars(self).values()))


@dataclass(frozen=True)
class TargetSettings:
    """Size and fall-off of the targets, their stride in image pixels, and what a pair is on sagittal slices."""

    sigma_mm: float
    tau_mm: float
    stem: int
    pixel_mm: float
    sagittal_pairs: str = MIDDLE

    @property
    def sigma_pixels(self) -> float:
        """Standard deviation in heatmap pixels."""
        return self.sigma_mm / (self.pixel_mm * self.stem)

    @property
    def slices(self) -> SliceSettings:
        """Settings of simulated slices with these targets."""
        return SliceSettings(pixel_mm=self.pixel_mm, sagittal_pairs=self.sagittal_pairs)


def slice_settings(config: TrainingConfig) -> SliceSettings:
    """The grid of a run's slices; how thick they are and what spoils them is up to their source."""
    return SliceSettings(pixel_mm=config.pixel_mm, sagittal_pairs=config.sagittal_pairs)


def target_settings(config: TrainingConfig, slices: SliceSettings) -> TargetSettings:
    """The targets' settings of a run."""
    stem = config.options.get("stem", 1)
    return TargetSettings(config.sigma_mm, config.tau_mm, stem, slices.pixel_mm, slices.sagittal_pairs)


def make_targets(batch: SliceBatch, settings: TargetSettings) -> Targets:
    """The targets of a batch; a heatmap is zero where its landmark is unknown or out of view."""
    peak_values = torch.exp(-(batch.depths_mm.nan_to_num(1e4) ** 2) / (2 * settings.tau_mm**2)) * batch.visible
    height, width = batch.images.shape[-2:]
    size = (height // settings.stem, width // settings.stem)
    points = to_heatmap_pixels(batch.points, settings.stem)
    heatmaps = render_targets(points, peak_values, size, settings.sigma_pixels)
    return Targets(heatmaps, points, peak_values, batch.known)
