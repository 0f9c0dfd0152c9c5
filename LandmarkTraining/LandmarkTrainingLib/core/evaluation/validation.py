"""In-plane errors of a network on a batch of slices."""

from __future__ import annotations

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.heatmaps import decode_peaks, to_image_pixels
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES

from ..simulator.render import SliceBatch
from ..slices.anatomies import each_anatomy
from ..slices.batches import TrainingData, encode
from ..slices.targets import TargetSettings

#: Landmarks nearer to the slice than this count.
NEAR_MM = 8.0


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
    error, _, _ = peaks_of_batch(network, batch, targets, device)
    distance = np.linalg.norm(error, axis=-1)
    near = (batch.visible & (batch.depths_mm.abs() < NEAR_MM)).numpy()
    result = {
        "median_mm": float(np.median(distance[near])),
        "mean_mm": float(distance[near].mean()),
        "p95_mm": float(np.percentile(distance[near], 95)),
    }
    for index, plane in enumerate(PLANES):
        of_plane = near & (batch.planes.numpy() == index)[:, None]
        if of_plane.any():
            result[f"{plane}_mm"] = float(np.median(distance[of_plane]))
    return result


def validation_errors_mm(
    network: torch.nn.Module, data: TrainingData, targets: TargetSettings, device: torch.device
) -> dict[str, float]:
    """``inplane_errors_mm`` on a run's validation slices.

    Of a run that learns several anatomies each number is the mean of the anatomies', and those of each follow under the
    anatomy's title (``knee_median_mm``).
    """
    measured = {
        part.title: inplane_errors_mm(own, part.check, targets, device) for own, part in each_anatomy(network, data)
    }
    if len(measured) == 1:
        return next(iter(measured.values()))
    shared = set.intersection(*(set(errors) for errors in measured.values()))
    first = next(iter(measured.values()))
    mean = {key: float(np.mean([errors[key] for errors in measured.values()])) for key in first if key in shared}
    return mean | {f"{title}_{key}": value for title, errors in measured.items() for key, value in errors.items()}
