"""Points on the surface of a bone given as a cloud of voxel centres: extremes, envelopes, cross-sections."""

from __future__ import annotations

import numpy as np

#: The extreme along a normal is the height of this voxel from the outermost one: stray voxels do not move it.
ROBUST_RANK = 15

#: Fewer voxels are not a cross-section of a shaft.
FEWEST_IN_SECTION = 200


def outermost(points: np.ndarray, axis: int, sign: int, depth_mm: float = 1.5) -> np.ndarray:
    """(3,) extreme of ``points`` (n, 3) along an axis.

    Along the normal: the robust extreme. Across it: the centroid of the outermost ``depth_mm``; single outermost
    voxels jump from one end of a flat surface to the other.
    """
    height = sign * points[:, axis]
    top = np.partition(height, -ROBUST_RANK)[-ROBUST_RANK]
    cap = points[height > top - depth_mm].mean(axis=0)
    cap[axis] = sign * top
    return cap


def envelope(points: np.ndarray, sign: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Highest (``sign`` +1) or lowest (-1) superior coordinate over a grid of 1 mm in right and anterior.

    Returns:
        Right coordinates (a,) and anterior ones (b,) of the cells, heights (a, b), NaN where there is no bone.
    """
    origin = np.floor(points[:, :2].min(axis=0))
    cells = (points[:, :2] - origin).astype(int)
    heights = np.full(cells.max(axis=0) + 1, -np.inf)
    np.maximum.at(heights, (cells[:, 0], cells[:, 1]), sign * points[:, 2])
    heights[np.isinf(heights)] = np.nan
    right, anterior = (origin[k] + 0.5 + np.arange(heights.shape[k]) for k in range(2))
    return right, anterior, sign * heights


def section_center(points: np.ndarray, height_mm: float, half_mm: float = 2.0) -> np.ndarray | None:
    """(3,) centroid of the cross-section at a height; None where there is no whole section."""
    section = points[np.abs(points[:, 2] - height_mm) < half_mm]
    if len(section) < FEWEST_IN_SECTION:
        return None
    return np.array([*section[:, :2].mean(axis=0), height_mm])


def shaft_center(points: np.ndarray, height_mm: float, start_mm: float) -> np.ndarray | None:
    """(3,) centre of a shaft at a height, beyond the end of the label map too.

    Beyond the end, on the line through the centres of the cross-sections from ``start_mm`` to the end.
    """
    inside = section_center(points, height_mm)
    low, high = points[:, 2].min() + 3, points[:, 2].max() - 3
    if inside is not None and low <= height_mm <= high:
        return inside
    centers = section_centers(points, *sorted((start_mm, high if height_mm > start_mm else low)))
    if len(centers) < 4:
        return None
    slope, offset = np.polyfit(centers[:, 2], centers[:, :2], 1)
    return np.array([*(offset + slope * height_mm), height_mm])


def section_centers(points: np.ndarray, low_mm: float, high_mm: float, step_mm: float = 3.0) -> np.ndarray:
    """(m, 3) centroids of the cross-sections from ``low_mm`` to ``high_mm``."""
    found = [section_center(points, z, 1.6) for z in np.arange(low_mm, high_mm, step_mm)]
    return np.array([center for center in found if center is not None]).reshape(-1, 3)
