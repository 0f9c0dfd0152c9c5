"""In-plane errors of a network on a batch of slices, and which landmarks it has not learnt.

A good median over all landmarks hides one that was not learnt at all: its channel stays flat, and the highest of its
pixels lies anywhere. Therefore every landmark is measured by itself, and the worst is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.heatmaps import amplitude, decode_peaks, to_image_pixels
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES

from ..simulator.render import SliceBatch
from ..slices.anatomies import each_anatomy
from ..slices.batches import TrainingData, encode
from ..slices.targets import TargetSettings

#: Landmarks nearer to the slice than this count.
NEAR_MM = 8.0
#: A landmark that is near fewer validation slices is not judged by itself: its median would be chance.
FEWEST_SLICES = 3
#: A channel is flat whose peaks are below the first share of the targets' while the peaks of the median landmark have
#: reached the second: at the start of a training all channels are low, and none of them is named.
FLAT_BELOW, OTHERS_ABOVE = 0.15, 0.4


@torch.inference_mode()
def peaks_of_batch(
    network: torch.nn.Module, batch: SliceBatch, targets: TargetSettings, device: torch.device
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In-plane errors (b, k, 2) as (row, column) mm, peak heights (b, k) and moments (b, k, 2, 2) mm^2."""
    network.eval()
    # Part by part: the heatmaps of a whole validation set would fill the memory.
    parts = [
        decode_peaks(network(part.to(device)).float().cpu(), targets.sigma_pixels) for part in encode(batch).split(16)
    ]
    positions, peak_values, moments = (
        np.concatenate([getattr(peaks, name) for peaks in parts]) for name in ("positions", "peak_values", "moments")
    )
    error = (to_image_pixels(positions, targets.stem) - batch.points.numpy()) * targets.pixel_mm
    return error, peak_values, moments * (targets.pixel_mm * targets.stem) ** 2


def inplane_errors_mm(
    network: torch.nn.Module, batch: SliceBatch, targets: TargetSettings, device: torch.device
) -> dict[str, float]:
    """Median, mean and 95th percentile of the in-plane error of near, visible landmarks, and the median per plane."""
    return validation_errors(network, batch, targets, device).summary()


@dataclass(frozen=True, eq=False)
class ValidationErrors:
    """What a network finds in n slices with k landmarks.

    Attributes:
        distances_mm: (n, k) in-plane errors, NaN where a landmark is not visible or not near the slice.
        heights: (n, k) peaks of the heatmaps relative to the peaks of the targets, NaN there.
        planes: (n,) index into PLANES.
    """

    distances_mm: np.ndarray
    heights: np.ndarray
    planes: np.ndarray

    def summary(self) -> dict[str, float]:
        """Median, mean and 95th percentile over all, and the median of each plane; NaN where nothing is measured."""
        distance = self.distances_mm[np.isfinite(self.distances_mm)]
        if not len(distance):
            return dict.fromkeys(("median_mm", "mean_mm", "p95_mm"), float("nan"))
        result = {
            "median_mm": float(np.median(distance)),
            "mean_mm": float(distance.mean()),
            "p95_mm": float(np.percentile(distance, 95)),
        }
        for index, plane in enumerate(PLANES):
            of_plane = self.distances_mm[self.planes == index]
            if np.isfinite(of_plane).any():
                result[f"{plane}_mm"] = float(np.nanmedian(of_plane))
        return result

    def by_landmark(self, names: Sequence[str]) -> dict[str, Any]:
        """The worst landmark with its median error, and the flat channels; empty where none is near enough slices.

        Returns:
            ``worst``: name; ``worst_mm``: its median error; ``flat``: names of the landmarks whose channels are flat.
        """
        judged = np.flatnonzero(np.isfinite(self.distances_mm).sum(axis=0) >= FEWEST_SLICES)
        if not len(judged):
            return {}
        medians = np.nanmedian(self.distances_mm[:, judged], axis=0)
        heights = np.nanmean(self.heights[:, judged], axis=0)
        worst = int(medians.argmax())
        flat = judged[heights < FLAT_BELOW] if np.median(heights) >= OTHERS_ABOVE else []
        return {
            "worst": names[judged[worst]],
            "worst_mm": float(medians[worst]),
            "flat": [names[index] for index in flat],
        }


def validation_errors(
    network: torch.nn.Module, batch: SliceBatch, targets: TargetSettings, device: torch.device
) -> ValidationErrors:
    """Errors and peaks of a network at the near, visible landmarks of a batch."""
    error, peak_values, _ = peaks_of_batch(network, batch, targets, device)
    near = (batch.visible & (batch.depths_mm.abs() < NEAR_MM)).numpy()
    expected = amplitude(batch.depths_mm.nan_to_num(0.0).numpy(), targets.tau_mm)
    return ValidationErrors(
        np.where(near, np.linalg.norm(error, axis=-1), np.nan),
        np.where(near, peak_values / expected, np.nan),
        batch.planes.numpy(),
    )


def validation_errors_mm(
    network: torch.nn.Module, data: TrainingData, targets: TargetSettings, device: torch.device
) -> dict[str, Any]:
    """``summary`` and ``by_landmark`` on a run's validation slices.

    Of a run that learns several anatomies each number is the mean of the anatomies', and those of each follow under the
    anatomy's title (``knee_median_mm``). The worst landmark is the worst of all, and the flat ones are those of all.
    """
    summaries, landmarks = {}, []
    for own, part in each_anatomy(network, data):
        found = validation_errors(own, part.check, targets, device)
        summaries[part.title] = found.summary()
        landmarks.append(found.by_landmark(part.names))
    return _over_anatomies(summaries) | _worst_of(landmarks)


def _over_anatomies(summaries: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    if len(summaries) == 1:
        return dict(next(iter(summaries.values())))
    shared = [key for key in next(iter(summaries.values())) if all(key in errors for errors in summaries.values())]
    mean = {key: float(np.mean([errors[key] for errors in summaries.values()])) for key in shared}
    return mean | {f"{title}_{key}": value for title, errors in summaries.items() for key, value in errors.items()}


def _worst_of(landmarks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What ``by_landmark`` says of each anatomy, together."""
    judged = [each for each in landmarks if each]
    if not judged:
        return {}
    worst = max(judged, key=lambda each: float(each["worst_mm"]))
    return {**worst, "flat": [name for each in judged for name in each["flat"]]}
