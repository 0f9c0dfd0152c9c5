"""Measure the errors of a network's peaks on simulated scouts of held-out heads.

Gives the numbers of ``core.detection.peak_uncertainty.PeakUncertainty``: everything is a 68th percentile of absolute
errors, which for Gaussian errors is the standard deviation and for others is robust against a few outliers.
"""

from __future__ import annotations

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.heatmaps import amplitude
from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import PeakUncertainty, default_uncertainty
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES

from ..simulator.label_heads import LabelHeads
from ..simulator.render import simulate_batch
from ..slices.targets import TargetSettings
from .validation import peaks_of_batch

#: Edges of the peak-height bins.
HEIGHT_EDGES = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.2])

#: The bin whose errors have factor 1.
REFERENCE_HEIGHT = 0.65

#: No stated standard deviation is smaller: the truth itself is not more accurate.
SMALLEST_SD_MM = 0.8

#: Weight, in observations, of the plane's error when it is averaged with a landmark's own error.
SHRINKAGE = 30

COVERED = 68.27

#: A network that finds fewer landmarks than this in all slices is hardly trained: its errors are not estimated.
FEWEST_PEAKS = 500

#: Fewer peaks of a height do not show how large the errors at this height are.
FEWEST_IN_BIN = 20


def calibrate_uncertainty(
    network: torch.nn.Module,
    heads: LabelHeads,
    mirror: np.ndarray,
    targets: TargetSettings,
    device: torch.device,
    *,
    slices: int = 3000,
    threshold: float = 0.2,
    seed: int = 20261120,
) -> PeakUncertainty:
    """Errors of ``network`` on random slices of ``heads``; the default calibration for a network that finds nothing."""
    errors, peak_values, spreads, planes, depths = [], [], [], [], []
    for start in range(0, slices, 48):
        batch = simulate_batch(heads, mirror, 48, (seed, start), targets.slices)
        error, height, moments = peaks_of_batch(network, batch, targets, device)
        error[~batch.visible.numpy()] = np.nan
        errors.append(error[..., ::-1])
        peak_values.append(height)
        spreads.append(np.sqrt(np.diagonal(moments, axis1=-2, axis2=-1)))
        planes.append(batch.planes.numpy())
        depths.append(batch.depths_mm.numpy())
    error, height, spread = np.abs(np.concatenate(errors)), np.concatenate(peak_values), np.concatenate(spreads)
    plane, depth = np.concatenate(planes), np.concatenate(depths)
    used = np.isfinite(error[..., 0]) & (height >= threshold)
    if not _is_measurable(used, height, plane, depth, targets.tau_mm):
        return default_uncertainty(used.shape[1])
    centers, factors = _height_factors(error, height, used)
    normalised = error / np.interp(height, centers, factors)[..., None]
    base = np.stack([_base(normalised[plane == p], used[plane == p]) for p in range(len(PLANES))])
    typical = float(np.median(spread[used & (height > REFERENCE_HEIGHT)]))
    return PeakUncertainty(base, centers, factors, typical, _through_plane_sd(height, depth, used, targets.tau_mm))


def _is_measurable(used: np.ndarray, height: np.ndarray, plane: np.ndarray, depth: np.ndarray, tau_mm: float) -> bool:
    """Whether there are enough peaks: in all, high ones, in every plane, and some way off the slices.

    A network after few steps finds landmarks in one plane only, or with low peaks only.
    """
    enough = used.sum() >= FEWEST_PEAKS and (used & (height > REFERENCE_HEIGHT)).any()
    every_plane = all(used[plane == number].any() for number in range(len(PLANES)))
    filled = any((used & (height >= low) & (height < high)).sum() >= FEWEST_IN_BIN for low, high in _height_bins())
    return bool(enough and every_plane and filled and _near_slope(used, depth, tau_mm).any())


def _height_bins() -> list[tuple[float, float]]:
    return list(zip(HEIGHT_EDGES[:-1], HEIGHT_EDGES[1:], strict=True))


def _near_slope(used: np.ndarray, depth: np.ndarray, tau_mm: float) -> np.ndarray:
    """The peaks at a depth where their height is most sensitive to it."""
    near: np.ndarray = used & (np.abs(depth) > 0.6 * tau_mm) & (np.abs(depth) < 1.4 * tau_mm)
    return near


def _height_factors(error: np.ndarray, height: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bin centres and error factors, made to fall with height."""
    centers, errors = [], []
    for low, high in _height_bins():
        inside = used & (height >= low) & (height < high)
        if inside.sum() >= FEWEST_IN_BIN:
            centers.append((low + high) / 2)
            errors.append(np.percentile(error[inside], COVERED))
    values = np.minimum.accumulate(errors)
    return np.array(centers), values / np.interp(REFERENCE_HEIGHT, centers, values)


def _base(error: np.ndarray, used: np.ndarray) -> np.ndarray:
    """(k, 2) standard deviation of each landmark and axis at factor 1, from errors (s, k, 2) of one plane."""
    common = np.percentile(error[used], COVERED)
    base = np.full(error.shape[1:], common)
    for k in range(error.shape[1]):
        own = error[used[:, k], k]
        if len(own):
            weight = len(own) / (len(own) + SHRINKAGE)
            base[k] = weight * np.percentile(own, COVERED, axis=0) + (1 - weight) * common
    return np.maximum(base, SMALLEST_SD_MM)


def _through_plane_sd(height: np.ndarray, depth: np.ndarray, used: np.ndarray, tau_mm: float) -> float:
    """Error in mm of the distance from the slice derived from the peak height, where it is most sensitive (around tau).

    The slope of the fall-off there is ``amplitude / tau * (distance / tau)``.
    """
    near_slope = _near_slope(used, depth, tau_mm)
    expected = amplitude(depth[near_slope], tau_mm)
    slope = expected * np.abs(depth[near_slope]) / tau_mm**2
    return float(max(2.0, np.percentile(np.abs(height[near_slope] - expected) / slope, COVERED)))
