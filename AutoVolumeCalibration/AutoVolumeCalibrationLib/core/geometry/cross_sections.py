"""Boxes and planes cut by a plane: the outlines that pictures draw on scout slices."""

from __future__ import annotations

import numpy as np

from .coordinates import unit
from .oriented_box import FACES, OrientedBox

#: Corner index pairs of a box's twelve edges: corners (see ``OrientedBox.corners_mm``) that differ in one bit.
_EDGES = np.array([(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit])


def box_section_mm(box: OrientedBox, point_mm: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Where a plane cuts a box's surface.

    Args:
        point_mm: (3,) RAS, any point of the plane.
        normal: (3,) unit normal of the plane.

    Returns:
        (n, 3) RAS corners of the convex polygon in order around it, n = 3..6; (0, 3) where the plane
        misses the box or only touches it.
    """
    corners = box.corners_mm()
    offsets = (corners - point_mm) @ normal
    # A corner exactly on the plane belongs to the upper side, so that every crossed edge is crossed once.
    above = offsets >= 0
    crossed = _EDGES[above[_EDGES[:, 0]] != above[_EDGES[:, 1]]]
    start, end = offsets[crossed[:, 0]], offsets[crossed[:, 1]]
    weight = (start / (start - end))[:, None] if len(crossed) else np.empty((0, 1))
    points = corners[crossed[:, 0]] * (1 - weight) + corners[crossed[:, 1]] * weight
    return _around(_distinct(points), normal)


def grown(box: OrientedBox, standard_deviations: float) -> OrientedBox:
    """The box with each face moved out (negative: in) by that many of its standard deviations.

    Sizes never fall below zero; a face without a stated deviation stays.
    """
    shift = np.array([box.face_sd_mm.get(face, 0.0) for face in FACES]).reshape(3, 2) * standard_deviations
    size = np.maximum(box.size_mm + shift.sum(axis=1), 0.0)
    center = box.center_mm + (shift[:, 1] - shift[:, 0]) / 2 @ box.axes
    return OrientedBox(box.name, center, box.axes, size, box.face_sd_mm)


def chord(polygon: np.ndarray, direction: np.ndarray, offset: float) -> np.ndarray | None:
    """The piece of the line ``x @ direction = offset`` inside a convex polygon.

    Args:
        polygon: (n, 2) corners in order.
        direction: (2,) normal of the line.

    Returns:
        (2, 2) end points, or None where the line passes by.
    """
    offsets = polygon @ direction - offset
    following, next_offsets = np.roll(polygon, -1, axis=0), np.roll(offsets, -1)
    crossed = (offsets >= 0) != (next_offsets >= 0)
    if crossed.sum() != 2:
        return None
    weight = (offsets[crossed] / (offsets[crossed] - next_offsets[crossed]))[:, None]
    return polygon[crossed] * (1 - weight) + following[crossed] * weight


def _distinct(points: np.ndarray, tolerance_mm: float = 1e-6) -> np.ndarray:
    """Points (n, 3) without repeats: edges that meet in a corner on the plane give it several times."""
    kept: list[np.ndarray] = []
    for point in points:
        if all(np.abs(point - other).max() > tolerance_mm for other in kept):
            kept.append(point)
    return np.array(kept).reshape(-1, 3)


def _around(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Corners (n, 3) of a convex polygon in order of their angle about its middle."""
    if len(points) < 3:
        return np.empty((0, 3))
    offsets = points - points.mean(axis=0)
    across = unit(offsets[np.argmax(np.linalg.norm(offsets, axis=1))])
    return points[np.argsort(np.arctan2(offsets @ np.cross(normal, across), offsets @ across))]
