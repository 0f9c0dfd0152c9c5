"""The network's input: a slice's scaled intensities and its plane. Shared by training and inference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry.coordinates import PLANES
from ..scouts.stack import ScoutSlice

#: Percentiles of a slice's own pixels that become 0 and 1, and the cap above.
LOW_PERCENTILE, HIGH_PERCENTILE, CAP = 1.0, 99.5, 1.2

#: Image plus one indicator per plane.
IN_CHANNELS = 1 + len(PLANES)

#: Largest side of an image in pixels; a wider field of view is resampled coarser.
LARGEST_SIZE = 192


def encode_slices(images: np.ndarray, planes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Network input (n, 4, H, W) float32 from images (n, H, W) in 0..CAP and plane indices (n,).

    Channel 0 is ``2 * image - 1``; channels 1-3 indicate sagittal, coronal, axial.
    """
    encoded = np.zeros((len(images), IN_CHANNELS, *images.shape[1:]), np.float32)
    encoded[:, 0] = images * 2 - 1
    encoded[np.arange(len(images)), 1 + np.asarray(planes, dtype=int)] = 1
    return encoded


@dataclass(frozen=True, eq=False)
class NetworkImage:
    """A slice on the network's grid.

    Attributes:
        image: (H, W) float32 in 0..CAP.
        scale: (2,) sides (row, column) of its pixels in units of the slice's own; both grids share the outer edges.
    """

    image: np.ndarray
    scale: np.ndarray

    def to_slice_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Indices (..., 2) in the slice's own pixels of indices (row, column) in this image."""
        return (pixels + 0.5) * self.scale - 0.5

    def from_slice_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Indices (..., 2) in this image of indices (row, column) in the slice's own pixels."""
        return (pixels + 0.5) / self.scale - 0.5

    def first_in(self, size: Sequence[int]) -> np.ndarray:
        """(2,) index (row, column) of the image's first pixel when it is centred in ``size`` pixels."""
        return np.array([(n - m) // 2 for n, m in zip(size, self.image.shape, strict=True)])


def to_network_grid(scout_slice: ScoutSlice, pixel_mm: float, largest_size: int) -> NetworkImage:
    """Scale intensities by the slice's own percentiles and resample to about ``pixel_mm``.

    The field of view is kept exactly; the pixel size differs from the nominal one by the rounding to
    whole pixels, or more where a side would have more than ``largest_size`` of them.
    """
    pixels = np.ascontiguousarray(scout_slice.pixels, dtype=np.float32)
    low, high = np.percentile(pixels[::2, ::2], [LOW_PERCENTILE, HIGH_PERCENTILE])
    size = tuple(min(largest_size, max(1, round(mm / pixel_mm))) for mm in scout_slice.extent_mm)
    image = _resampled(_resampled(pixels, size[0]).T, size[1]).T
    image = np.clip((image - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, CAP)
    return NetworkImage(image, np.array(pixels.shape) / size)


def _resampled(rows: np.ndarray, wanted: int) -> np.ndarray:
    """(wanted, m) float32: rows (n, m) resampled along the first axis, with the same outer edges.

    Each new row is a mean weighted by a triangle: linear interpolation, as wide as the new rows where these are
    coarser, so that nothing aliases. Equals PyTorch's ``interpolate(mode="bilinear", antialias=True)``. Row by row of
    the triangle, because the threads of a matrix product wait for each other longer than they work.
    """
    step = len(rows) / wanted
    reach = max(step, 1.0)
    middles = (np.arange(wanted) + 0.5) * step
    first = np.floor(middles - reach).astype(int)
    total, weights = np.zeros((wanted, rows.shape[1]), np.float32), np.zeros((wanted, 1))
    for index in first + np.arange(math.ceil(2 * reach) + 2)[:, None]:
        weight = np.clip(1 - np.abs(index + 0.5 - middles) / reach, 0, None)
        weight = np.where((index >= 0) & (index < len(rows)), weight, 0.0)[:, None]
        total += weight.astype(np.float32) * rows[index.clip(0, len(rows) - 1)]
        weights += weight
    return total / weights.astype(np.float32)


def padded(prepared: NetworkImage, size: Sequence[int]) -> np.ndarray:
    """The image, centred and padded with zeros to ``size``."""
    image, first = prepared.image, prepared.first_in(size)
    return np.pad(image, [(b, n - m - b) for b, n, m in zip(first, size, image.shape, strict=True)])
