"""In-plane errors of a network on a batch of slices."""

from __future__ import annotations

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.heatmaps import decode_peaks, to_image_pixels
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES

from ..simulator.render import SliceBatch
from ..slices.batches import encode
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
