"""Slices prepared for the comparison of two stacks along the lines where they cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..scouts.stack import ScoutSlice, ScoutStack

#: Of a stack with more slices, this many are compared, evenly chosen.
MOST_SLICES = 5

#: An image with fewer rows or columns is not compared.
SMALLEST_IMAGE = 8


@dataclass(frozen=True, eq=False)
class CrossingImage:
    """One slice as it is compared with the slices of another stack.

    A slice shows the mean over its thickness. It is averaged once more over the other stack's thickness along that
    one's normal: then both slices show, along the line where they cross, the mean over the same bar.

    Attributes:
        layers: (3, rows, columns) value, and its gradient per mm along the row axis and along the column axis.
        origin_mm: (3,) RAS of pixel [0, 0].
        axes: (3, 3), rows are the unit row axis, column axis and normal in RAS.
        spacing_mm: (2,) between rows, between columns.
    """

    layers: np.ndarray
    origin_mm: np.ndarray
    axes: np.ndarray
    spacing_mm: np.ndarray

    def sample(self, in_plane_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and gradients (3, ...) at (..., 2) mm along the row and column axis from the origin, and where known.

        Returns:
            The bilinear samples, and (...,) bool: the point lies within the image.
        """
        index = in_plane_mm / self.spacing_mm
        last = np.array(self.layers.shape[1:]) - 1.0
        inside = np.all((index >= 0) & (index <= last), axis=-1)
        index = np.clip(index, 0, last - 1e-6)
        low = index.astype(int)
        part = index - low
        row, column = low[..., 0], low[..., 1]
        down, right = part[..., 0], part[..., 1]
        layers = self.layers
        upper = layers[:, row, column] * (1 - right) + layers[:, row, column + 1] * right
        lower = layers[:, row + 1, column] * (1 - right) + layers[:, row + 1, column + 1] * right
        return upper * (1 - down) + lower * down, inside


def chosen_slices(stack: ScoutStack) -> list[ScoutSlice]:
    """At most MOST_SLICES of a stack, evenly spaced and without its ends where there are more; none of tiny ones."""
    count = len(stack.slices)
    if min(min(s.pixels.shape) for s in stack.slices) < SMALLEST_IMAGE:
        return []
    if count <= MOST_SLICES:
        return list(stack.slices)
    places = np.linspace(0, count - 1, MOST_SLICES + 2)[1:-1].round().astype(int)
    return [stack.slices[i] for i in places]


def crossing_images(
    slices: Sequence[ScoutSlice], other_normal: np.ndarray, other_thickness_mm: float, pixel_mm: float
) -> list[CrossingImage]:
    """The slices for a comparison with a stack of that normal (3,) and thickness, in pixels of about ``pixel_mm``."""
    return [_crossing_image(s, other_normal, other_thickness_mm, pixel_mm) for s in slices]


def _crossing_image(
    scout_slice: ScoutSlice, other_normal: np.ndarray, thickness_mm: float, pixel_mm: float
) -> CrossingImage:
    factors = [max(1, round(pixel_mm / spacing)) for spacing in scout_slice.spacing_mm]
    rows, columns = (max(2, n // f) for n, f in zip(scout_slice.pixels.shape, factors, strict=True))
    factors = [min(f, n // k) for f, n, k in zip(factors, scout_slice.pixels.shape, (rows, columns), strict=True)]
    pixels = scout_slice.pixels[: rows * factors[0], : columns * factors[1]].astype(float)
    pixels = _blocks(rows, factors[0]) @ pixels @ _blocks(columns, factors[1]).T
    pixels = pixels / max(float(np.abs(pixels).max()), 1e-30)
    spacing = np.array(scout_slice.spacing_mm) * factors
    in_plane = (scout_slice.row_axis, scout_slice.column_axis)
    for axis in range(2):
        length = thickness_mm * abs(float(other_normal @ in_plane[axis]))
        pixels = _box_mean(pixels, length / spacing[axis], axis)
    gradients = [np.gradient(pixels, spacing[axis], axis=axis) for axis in range(2)]
    normal = np.cross(*in_plane)
    origin = scout_slice.to_world((np.array(factors) - 1) / 2)
    return CrossingImage(np.stack([pixels, *gradients]), origin, np.stack([*in_plane, normal]), spacing)


@lru_cache(maxsize=64)
def _blocks(count: int, factor: int) -> np.ndarray:
    """(count, count * factor) whose product with values is the mean of each ``factor`` of them."""
    return np.repeat(np.eye(count), factor, axis=1) / factor


def _box_mean(pixels: np.ndarray, width: float, axis: int) -> np.ndarray:
    """Moving mean over ``width`` pixels, fractions allowed, along an axis; the border is repeated."""
    matrix = moving_mean(pixels.shape[axis], round(width, 2))
    mean: np.ndarray = matrix @ pixels if axis == 0 else pixels @ matrix.T
    return mean


@lru_cache(maxsize=64)
def moving_mean(count: int, width: float) -> np.ndarray:
    """(count, count) whose product with values is their mean over ``width`` of them, with the border repeated.

    Slices share their sizes, so that few matrices serve all, and products are faster than sums along an axis.
    """
    width = min(width, 2.0 * count)
    smaller = int(max(0.0, width - 1) // 2)
    share = np.clip((width - (2 * smaller + 1)) / 2, 0.0, 1.0)
    matrix = np.zeros((count, count))
    for radius, part in ((smaller, 1 - share), (smaller + 1, share)):
        near = np.arange(count)[:, None] + np.arange(-radius, radius + 1)
        np.add.at(matrix, (np.arange(count)[:, None], np.clip(near, 0, count - 1)), part / (2 * radius + 1))
    return matrix
