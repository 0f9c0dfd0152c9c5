"""Heatmaps: the targets of a network, and how its output is decoded.

The target of a landmark on a slice is a Gaussian at the landmark's projection with the peak value
``exp(-depth^2 / 2 tau^2)``, where ``depth`` is the landmark's distance from the slice: the peak values of a stack
give the through-plane coordinate. Heatmap pixels are ``output_stride`` times coarser than image pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

#: Half-width of the window around a peak from which its moments are taken, in target sigmas.
WINDOW_SIGMAS = 2.0

#: Indices as an array or as a tensor; what comes in goes out.
Pixels = TypeVar("Pixels", np.ndarray, "torch.Tensor")


def to_heatmap_pixels(image_pixels: Pixels, output_stride: int) -> Pixels:
    """Heatmap index of an image index (fractions): pixel centres, blocks of ``output_stride``."""
    return (image_pixels + 0.5) / output_stride - 0.5


def to_image_pixels(heatmap_pixels: Pixels, output_stride: int) -> Pixels:
    """Image index of a heatmap index, the inverse of :func:`to_heatmap_pixels`."""
    return (heatmap_pixels + 0.5) * output_stride - 0.5


def amplitude(depth_mm: np.ndarray, tau_mm: float) -> np.ndarray:
    """Peak value, 0..1, of the target of a landmark ``depth_mm`` off the slice."""
    return np.exp(-(np.asarray(depth_mm) ** 2) / (2 * tau_mm**2))


def render_targets(
    points: torch.Tensor, peak_values: torch.Tensor, size: Sequence[int], sigma_pixels: float
) -> torch.Tensor:
    """Gaussians at sub-pixel centres.

    Args:
        points: (b, k, 2) heatmap pixels (row, column), fractions; not finite where there is none.
        peak_values: (b, k).
        size: (height, width) of the heatmaps.
        sigma_pixels: standard deviation in heatmap pixels.

    Returns:
        (b, k, height, width) float32.
    """
    import torch

    points = torch.nan_to_num(points, nan=-1e4, posinf=-1e4, neginf=-1e4)
    axes = [torch.arange(n, device=points.device, dtype=points.dtype) for n in size]
    row, column = (
        torch.exp(-((axis - points[..., i, None]) ** 2) / (2 * sigma_pixels**2)) for i, axis in enumerate(axes)
    )
    return peak_values[..., None, None] * row[..., :, None] * column[..., None, :]


@dataclass(frozen=True, eq=False)
class Peaks:
    """The highest point of each of (n, k) heatmaps.

    Attributes:
        positions: (n, k, 2) sub-pixel (row, column) in heatmap pixels.
        peak_values: (n, k).
        moments: (n, k, 2, 2) second moments of the heatmap around the peak, pixels^2.
    """

    positions: np.ndarray
    peak_values: np.ndarray
    moments: np.ndarray


def decode_peaks(heatmaps: torch.Tensor, sigma_pixels: float) -> Peaks:
    """Sub-pixel peaks of heatmaps (n, k, height, width).

    The peak is the vertex of a parabola through the logarithm of the three pixels around the maximum,
    summed across the other axis's three (exact for a sampled Gaussian; cf. DARK, arXiv:1910.06278).
    Moments are taken in a window of ``WINDOW_SIGMAS`` around it.
    """
    import torch

    n, k, height, width = heatmaps.shape
    maps = heatmaps.float().reshape(n * k, height, width)
    best = _indices_of_maxima(maps.flatten(1))
    peak = maps.flatten(1).gather(1, best[:, None])[:, 0].clamp_min(0)
    row, column = best // width, best % width
    patch = _patches(maps, row, column, 1)
    sub_row, sub_column = _log_vertex(patch.sum(dim=2)), _log_vertex(patch.sum(dim=1))
    # At the border the parabola would need pixels beyond the image: keep the pixel itself.
    sub_row = torch.where((row > 0) & (row < height - 1), sub_row, 0.0)
    sub_column = torch.where((column > 0) & (column < width - 1), sub_column, 0.0)
    moments = _second_moments(_patches(maps, row, column, max(1, round(WINDOW_SIGMAS * sigma_pixels))))
    positions = torch.stack([row + sub_row, column + sub_column], dim=1)
    return Peaks(
        positions.reshape(n, k, 2).double().cpu().numpy(),
        peak.reshape(n, k).double().cpu().numpy(),
        moments.reshape(n, k, 2, 2).double().cpu().numpy(),
    )


def _indices_of_maxima(maps: torch.Tensor) -> torch.Tensor:
    """(m,) index of the first maximum in each row of ``maps`` (m, p)."""
    import torch

    if maps.device.type == "cpu":
        return torch.from_numpy(maps.numpy().argmax(axis=1))  # ten times as fast as torch's
    return maps.argmax(dim=1)


def _patches(maps: torch.Tensor, row: torch.Tensor, column: torch.Tensor, radius: int) -> torch.Tensor:
    """(m, 2r+1, 2r+1) positive parts of maps (m, h, w) around (row, column), zero beyond the border."""
    import torch

    height, width = maps.shape[1:]
    steps = torch.arange(-radius, radius + 1, device=maps.device)
    rows, columns = row[:, None] + steps, column[:, None] + steps
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    indices = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    values = maps.flatten(1).gather(1, indices.flatten(1)).view(inside.shape)
    return values.clamp_min(0) * inside


def _log_vertex(triples: torch.Tensor) -> torch.Tensor:
    """Offset -0.6..0.6 of the vertex of the parabola through log(triples), (m, 3) -> (m,)."""
    import torch

    left, middle, right = triples.clamp_min(1e-6).log().unbind(1)
    curvature = left - 2 * middle + right
    offset = 0.5 * (left - right) / curvature.clamp_max(-1e-6)
    return torch.where(curvature < -1e-6, offset.clamp(-0.6, 0.6), 0.0)


def _second_moments(patches: torch.Tensor) -> torch.Tensor:
    """(m, 2, 2) central second moments (row, column) of non-negative patches (m, s, s), pixels^2."""
    import torch

    side = patches.shape[-1]
    steps = torch.arange(side, device=patches.device, dtype=patches.dtype) - side // 2
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).reshape(-1, 2)
    weights = patches.flatten(1) + 1e-9
    weights = weights / weights.sum(dim=1, keepdim=True)
    mean = weights @ grid
    return torch.einsum("mp,pi,pj->mij", weights, grid, grid) - mean[:, :, None] * mean[:, None, :]
