"""Derotate slices in-plane, so that the head is upright in them.

A network detects less well in a tilted head than in an upright one, with a bias towards upright. Once a first pass
has found the head's orientation, every slice is resampled along the head's directions, as far as these lie in the
slice, for a second pass. Only the in-plane part can be undone: the slice itself stays where it was acquired.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..scouts.stack import IN_PLANE_AXES, ScoutSlice


def in_plane_angle(scout_slice: ScoutSlice, plane: str, head_axes: np.ndarray) -> float:
    """Angle (rad) from the slice's column axis towards its row axis by which the head is rotated in the slice.

    Args:
        scout_slice: in standard orientation.
        head_axes: (3, 3), rows are the head's right, anterior and superior directions in RAS.
    """
    column, row = scout_slice.column_axis, scout_slice.row_axis
    along_column, along_row = (head_axes[axis] for axis in IN_PLANE_AXES[plane])
    return float(np.arctan2(row @ along_column - column @ along_row, column @ along_column + row @ along_row))


def rotated_in_plane(scout_slice: ScoutSlice, angle: float, smallest_pixel_mm: float) -> ScoutSlice:
    """The slice on a grid rotated by ``angle`` (rad) about its middle: bilinear, zero outside, same field of view.

    Pixels become square, as small as the smaller of the slice's, but not below ``smallest_pixel_mm``.
    """
    from scipy.ndimage import affine_transform

    cos, sin = np.cos(angle), np.sin(angle)
    column = cos * scout_slice.column_axis + sin * scout_slice.row_axis
    row = -sin * scout_slice.column_axis + cos * scout_slice.row_axis
    pixel = max(min(scout_slice.spacing_mm), smallest_pixel_mm)
    rows, columns = (max(1, round(mm / pixel)) for mm in scout_slice.extent_mm)
    origin = scout_slice.center_mm - ((rows - 1) / 2 * row + (columns - 1) / 2 * column) * pixel
    grid = replace(scout_slice, origin_mm=origin, column_axis=column, row_axis=row, spacing_mm=(pixel, pixel))
    # The new grid's first pixel, and its steps to the next row and the next column, in pixels of the acquired slice.
    first, next_row, next_column = scout_slice.to_pixel(grid.to_world(np.array([[0, 0], [1, 0], [0, 1]])))
    steps = np.stack([next_row - first, next_column - first], axis=1)
    shape, pixels = (rows, columns), scout_slice.pixels
    return replace(grid, pixels=affine_transform(pixels, steps, first, shape, np.float32, order=1))


def standard_orientation(scout_slice: ScoutSlice, plane: str) -> ScoutSlice:
    """The same slice, transposed and flipped so that its axes run as in ``IN_PLANE_AXES``; nothing is resampled."""
    column_world, _ = IN_PLANE_AXES[plane]
    pixels, column, row = scout_slice.pixels, scout_slice.column_axis, scout_slice.row_axis
    spacing, origin = scout_slice.spacing_mm, scout_slice.origin_mm
    if abs(row[column_world]) > abs(column[column_world]):
        pixels, column, row, spacing = pixels.T, row, column, spacing[::-1]
    for axis, direction in ((0, row), (1, column)):
        world = IN_PLANE_AXES[plane][1 - axis]
        if direction[world] < 0:
            origin = origin + (pixels.shape[axis] - 1) * spacing[axis] * direction
            pixels = np.flip(pixels, axis)
            row, column = (-row, column) if axis == 0 else (row, -column)
    return replace(scout_slice, pixels=pixels, origin_mm=origin, column_axis=column, row_axis=row, spacing_mm=spacing)
