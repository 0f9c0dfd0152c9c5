"""Heatmaps: the targets of a network, and how its output is decoded.

The target of a landmark on a slice is a Gaussian at the landmark's projection with the peak value
``exp(-depth^2 / 2 tau^2)``, where ``depth`` is the landmark's distance from the slice: the peak values of a stack
give the through-plane coordinate. Heatmap pixels are ``output_stride`` times coarser than image pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

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


def render_targets(points: Pixels, peak_values: Pixels, size: Sequence[int], sigma_pixels: float | Pixels) -> Pixels:
    """Gaussians at sub-pixel centres, as arrays or as tensors, whichever comes in.

    Args:
        points: (b, k, 2) heatmap pixels (row, column), fractions; not finite where there is none.
        peak_values: (b, k).
        size: (height, width) of the heatmaps.
        sigma_pixels: standard deviation in heatmap pixels, one or (k, 1).

    Returns:
        (b, k, height, width) of the type of ``points``.
    """
    library = _library_of(points)
    points = library.nan_to_num(points, nan=-1e4, posinf=-1e4, neginf=-1e4)
    row, column = (
        library.exp(-((_indices(n, points) - points[..., i, None]) ** 2) / (2 * sigma_pixels**2))
        for i, n in enumerate(size)
    )
    return peak_values[..., None, None] * row[..., :, None] * column[..., None, :]


def _library_of(values: Pixels) -> Any:
    """numpy for an array, torch for a tensor: what is called of them has the same names in both."""
    if isinstance(values, np.ndarray):
        return np
    import torch

    return torch


def _indices(count: int, like: Pixels) -> Pixels:
    """0 .. ``count`` - 1 in the type of ``like`` and on its device."""
    if isinstance(like, np.ndarray):
        return np.arange(count, dtype=like.dtype)
    import torch

    return torch.arange(count, device=like.device, dtype=like.dtype)


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


def decode_peaks(heatmaps: np.ndarray | torch.Tensor, sigma_pixels: float) -> Peaks:
    """Sub-pixel peaks of heatmaps (n, k, height, width), an array or a tensor on the CPU without gradient.

    The peak is the vertex of a parabola through the logarithm of the three pixels around the maximum,
    summed across the other axis's three (exact for a sampled Gaussian; cf. DARK, arXiv:1910.06278).
    Moments are taken in a window of ``WINDOW_SIGMAS`` around it.
    """
    n, k, height, width = heatmaps.shape
    maps = np.asarray(heatmaps, dtype=np.float32).reshape(n * k, height, width)
    flat = maps.reshape(n * k, height * width)
    best = flat.argmax(axis=1)
    peak = np.clip(flat[np.arange(n * k), best], 0, None)
    row, column = best // width, best % width
    patch = _patches(maps, row, column, 1)
    sub_row, sub_column = _log_vertex(patch.sum(axis=2)), _log_vertex(patch.sum(axis=1))
    # At the border the parabola would need pixels beyond the image: keep the pixel itself.
    sub_row = np.where((row > 0) & (row < height - 1), sub_row, 0.0)
    sub_column = np.where((column > 0) & (column < width - 1), sub_column, 0.0)
    moments = _second_moments(_patches(maps, row, column, max(1, round(WINDOW_SIGMAS * sigma_pixels))))
    positions = np.stack([row + sub_row, column + sub_column], axis=1)
    return Peaks(
        positions.reshape(n, k, 2),
        peak.reshape(n, k).astype(float),
        moments.reshape(n, k, 2, 2),
    )


def _patches(maps: np.ndarray, row: np.ndarray, column: np.ndarray, radius: int) -> np.ndarray:
    """(m, 2r+1, 2r+1) float64, positive parts of maps (m, h, w) around (row, column), zero beyond the border."""
    height, width = maps.shape[1:]
    steps = np.arange(-radius, radius + 1)
    rows, columns = row[:, None] + steps, column[:, None] + steps
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    rows, columns = rows.clip(0, height - 1)[:, :, None], columns.clip(0, width - 1)[:, None, :]
    values = maps[np.arange(len(maps))[:, None, None], rows, columns]
    return np.where(inside, values, 0.0).clip(0, None)


def _log_vertex(triples: np.ndarray) -> np.ndarray:
    """Offset -0.6..0.6 of the vertex of the parabola through log(triples), (m, 3) -> (m,)."""
    left, middle, right = np.log(triples.clip(1e-6, None)).T
    curvature = left - 2 * middle + right
    offset = 0.5 * (left - right) / curvature.clip(None, -1e-6)
    return np.where(curvature < -1e-6, offset.clip(-0.6, 0.6), 0.0)


def _second_moments(patches: np.ndarray) -> np.ndarray:
    """(m, 2, 2) central second moments (row, column) of non-negative patches (m, s, s), pixels^2."""
    side = patches.shape[-1]
    steps = np.arange(side) - side // 2
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2).astype(float)
    weights = patches.reshape(len(patches), -1) + 1e-9
    weights = weights / weights.sum(axis=1, keepdims=True)
    mean = weights @ grid
    squares = (grid[:, :, None] * grid[:, None, :]).reshape(-1, 4)
    return (weights @ squares).reshape(-1, 2, 2) - mean[:, :, None] * mean[:, None, :]
