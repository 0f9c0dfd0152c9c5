"""The outline of the anatomy, skin included, as the scouts show it: what would fold into the image along phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..geometry.oriented_box import OrientedBox
from ..scouts.stack import ScoutStack

#: Tissue is brighter than this part of the way from the level of air to that of bright tissue: above ghosts and the
#: floor of the noise, below skin at the edge of a coil.
TISSUE_LEVEL = 0.2

#: A stack shows a direction in its plane when the component of its normal along it is smaller than this.
_IN_PLANE = 0.5

#: Anatomy cut off by the image ends within this distance of the furthest visible point, mm.
_SAME_END_MM = 2.0


@dataclass(frozen=True)
class Outline:
    """How far the visible anatomy reaches along an axis of a box, from the middle of the box.

    Attributes:
        low_mm, high_mm: its two ends; usually negative and positive.
        cut_off: the anatomy leaves the images at one of them, so it may reach further.
    """

    low_mm: float
    high_mm: float
    cut_off: bool


def visible_outline(stacks: Sequence[ScoutStack], box: OrientedBox, axis: int, read_axis: int) -> Outline | None:
    """The visible anatomy along box axis number ``axis``; None where no stack shows any.

    Only anatomy that the scan excites and reads counts: it lies in the slab, and along ``read_axis`` within the field
    of view, which is never shorter than that along ``axis``. What lies beyond it is filtered out, it does not fold.
    """
    half = box.size_mm / 2
    half[read_axis] = max(half[read_axis], half[axis])
    half[axis] = np.inf
    found = [_outline_points(stack) for stack in stacks if abs(float(stack.normal @ box.axes[axis])) < _IN_PLANE]
    points = np.concatenate([np.empty((0, 3)), *(points for points, _ in found)])
    at_border = np.concatenate([np.empty(0, dtype=bool), *(border for _, border in found)])
    local = (points - box.center_mm) @ box.axes.T
    inside = (np.abs(local) <= half).all(axis=1)
    if not inside.any():
        return None
    along, at_border = local[inside, axis], at_border[inside]
    low, high = float(along.min()), float(along.max())
    at_an_end = (along < low + _SAME_END_MM) | (along > high - _SAME_END_MM)
    return Outline(low, high, bool((at_border & at_an_end).any()))


@lru_cache(maxsize=16)
def _outline_points(stack: ScoutStack) -> tuple[np.ndarray, np.ndarray]:
    """RAS points (n, 3) on the outline of the anatomy in every slice, and (n,) whether the image ends there.

    Kept for the stacks of the last studies: they do not change while the user drags a point.
    """
    threshold = _threshold(np.concatenate([s.pixels.ravel() for s in stack.slices]))
    points, borders = [np.empty((0, 3))], [np.empty(0, dtype=bool)]
    for scout_slice in stack.slices:
        rows, columns, at_border = _edge_pixels(scout_slice.pixels, threshold)
        points.append(scout_slice.to_world(np.stack([rows, columns], axis=-1)))
        borders.append(at_border)
    return np.concatenate(points), np.concatenate(borders)


def _threshold(values: np.ndarray) -> float:
    """The grey value between air and tissue, from the two halves that the mean separates."""
    mean = float(values.mean())
    if not (values > mean).any():
        return float("inf")
    air, tissue = float(np.median(values[values <= mean])), float(np.median(values[values > mean]))
    return air + TISSUE_LEVEL * (tissue - air)


def _edge_pixels(pixels: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns (n,) of the edge of the largest bright region, and (n,) whether the image ends there.

    The image is smoothed first, so that noise does not join or fray the region. Ghosts and pads that do not touch the
    anatomy are other regions.
    """
    from scipy import ndimage

    bright = ndimage.uniform_filter(pixels, 3) > threshold
    regions, count = ndimage.label(bright)
    if not count:
        nothing = np.empty(0, dtype=int)
        return nothing, nothing, nothing.astype(bool)
    anatomy = regions == 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
    inner = ndimage.binary_erosion(anatomy)
    rows, columns = np.nonzero(anatomy & ~inner)
    height, width = anatomy.shape
    at_border = (rows == 0) | (rows == height - 1) | (columns == 0) | (columns == width - 1)
    return rows, columns, at_border
