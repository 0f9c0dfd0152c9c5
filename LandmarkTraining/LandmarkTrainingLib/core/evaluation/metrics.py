"""Errors of detected landmarks, frames and boxes against the true ones.

A box is judged by its angles, its centre, its six faces and the anatomy it contains; overlap alone
hides cut-off anatomy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import MIDDLE, shown_of_pair
from AutoVolumeCalibrationLib.core.geometry.coordinates import rotation_angles_deg
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, OrientedBox
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice

#: Radii of the success detection rate, mm.
SUCCESS_RADII_MM = (2.0, 2.5, 3.0, 4.0)


@dataclass(frozen=True)
class BoxErrors:
    """One box against the true one.

    Attributes:
        angles_deg: (pitch, roll, yaw): the rotation from the true to the found axes about the true axes.
        rotation_deg: size of that rotation.
        center_mm: distance between the centres.
        faces_mm: one number for each of FACES, positive where the found face lies outside of the true one.
        iou: volume of the intersection over that of the union.
    """

    angles_deg: tuple[float, float, float]
    rotation_deg: float
    center_mm: float
    faces_mm: tuple[float, ...]
    iou: float


def box_errors(found: OrientedBox, true: OrientedBox) -> BoxErrors:
    """All errors of a found box."""
    angles = rotation_angles_deg(true.axes, found.axes)
    pitch, roll, yaw = angles.tolist()
    return BoxErrors(
        angles_deg=(pitch, roll, yaw),
        rotation_deg=float(np.linalg.norm(angles)),
        center_mm=float(np.linalg.norm(found.center_mm - true.center_mm)),
        faces_mm=tuple(float(error) for error in face_errors_mm(found, true)),
        iou=oriented_iou(found, true),
    )


def face_errors_mm(found: OrientedBox, true: OrientedBox) -> np.ndarray:
    """(6,) distance from each true face's centre to the found face's plane along the true normal, order FACES.

    Positive is outwards: the found box is too large there. Meant for boxes turned by less than 90 deg.
    """
    errors = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            normal, found_normal = sign * true.axes[axis], sign * found.axes[axis]
            true_face = true.center_mm + normal * true.size_mm[axis] / 2
            found_face = found.center_mm + found_normal * found.size_mm[axis] / 2
            errors.append((found_face - true_face) @ found_normal / (normal @ found_normal))
    assert len(errors) == len(FACES)
    return np.array(errors)


def oriented_iou(a: OrientedBox, b: OrientedBox) -> float:
    """Intersection over union of two boxes, exact (convex polytopes)."""
    volume_a, volume_b = float(np.prod(a.size_mm)), float(np.prod(b.size_mm))
    shared = _intersection_mm3(a, b)
    return shared / (volume_a + volume_b - shared)


def _half_spaces(box: OrientedBox) -> np.ndarray:
    """(6, 4) rows (n, d) with n.x + d <= 0 inside the box."""
    normals = np.concatenate([box.axes, -box.axes])
    offsets = -(normals @ box.center_mm) - np.tile(box.size_mm, 2) / 2
    return np.column_stack([normals, offsets])


def _intersection_mm3(a: OrientedBox, b: OrientedBox) -> float:
    from scipy.optimize import linprog
    from scipy.spatial import ConvexHull, HalfspaceIntersection

    spaces = np.concatenate([_half_spaces(a), _half_spaces(b)])
    # Chebyshev centre: the ball of largest radius r with n.x + r <= -d for all half-spaces (unit normals).
    inside = linprog(
        [0, 0, 0, -1],
        A_ub=np.column_stack([spaces[:, :3], np.ones(len(spaces))]),
        b_ub=-spaces[:, 3],
        bounds=[(None, None)] * 3 + [(0, None)],
    )
    if not inside.success or inside.x[3] < 1e-6:
        return 0.0
    return float(ConvexHull(HalfspaceIntersection(spaces, inside.x[:3]).intersections).volume)


def covered_fraction(box: OrientedBox, points_mm: np.ndarray) -> float:
    """Share of the RAS points (n, 3) that the box contains."""
    return float(np.mean(box.contains(points_mm)))


def landmark_errors_mm(
    landmarks: Iterable[Landmark],
    true_mm: Mapping[str, np.ndarray],
    true_axes: np.ndarray,
    normal_axis: Mapping[str, int],
) -> dict[str, float]:
    """Name -> error in mm of every found landmark whose true position is known.

    Args:
        true_mm: name -> (3,) RAS.
        true_axes: (3, 3), rows are right, anterior, superior of the true frame.
        normal_axis: name -> axis of that frame; such a landmark's error is taken along it alone (extremes
            are ill-defined across it). All others' errors are 3D distances.
    """
    errors = {}
    for landmark in landmarks:
        if landmark.position_mm is None or landmark.name not in true_mm:
            continue
        offset = true_axes @ (landmark.position_mm - true_mm[landmark.name])
        axis = normal_axis.get(landmark.name)
        errors[landmark.name] = float(np.linalg.norm(offset) if axis is None else abs(offset[axis]))
    return errors


def points_on_slice(
    scout_slice: ScoutSlice,
    plane: str,
    true_mm: Mapping[str, np.ndarray],
    mirror: Mapping[str, str],
    reach_mm: float,
    pairs: str = MIDDLE,
) -> dict[str, np.ndarray]:
    """True positions, projected on the slice, of the landmarks within ``reach_mm`` of it and inside its image.

    A sagittal slice does not distinguish left from right: there both landmarks of a pair are the same point.

    Args:
        plane: the slice's plane.
        true_mm: name -> (3,) RAS.
        mirror: name -> name of the landmark on the other side, for pairs.
        pairs: what a pair is on sagittal slices (``core.detection.sagittal_pairs``).

    Returns:
        name -> (3,) RAS on the slice.
    """
    rows, columns = scout_slice.pixels.shape
    visible = {}
    for name, point in true_mm.items():
        partner = mirror.get(name)
        if plane == "sagittal" and partner is not None and partner in true_mm:
            point = shown_of_pair(point, true_mm[partner], scout_slice, pairs)
        row, column = scout_slice.to_pixel(point)
        distance = (point - scout_slice.origin_mm) @ scout_slice.normal
        if abs(distance) <= reach_mm and 0 <= row <= rows - 1 and 0 <= column <= columns - 1:
            visible[name] = point - distance * scout_slice.normal
    return visible


def success_rates(errors_mm: Sequence[float] | np.ndarray, expected: int | None = None) -> dict[float, float]:
    """Radius -> share of the ``expected`` points found within it; the unfound ones count as failures."""
    total = len(errors_mm) if expected is None else expected
    errors = np.asarray(errors_mm, dtype=float)
    return {radius: float((errors <= radius).sum() / total) if total else float("nan") for radius in SUCCESS_RADII_MM}


@dataclass(frozen=True)
class Summary:
    """Median, mean and 95th percentile of ``count`` numbers (NaN where there are none)."""

    count: int
    median: float
    mean: float
    p95: float


def summarize(values: Iterable[float | None]) -> Summary:
    """The summary of finite numbers; others, and None, are left out."""
    array = np.array([value for value in values if value is not None and np.isfinite(value)], dtype=float)
    if not len(array):
        return Summary(0, *[float("nan")] * 3)
    return Summary(len(array), float(np.median(array)), float(array.mean()), float(np.percentile(array, 95)))


def finite_or_none(value: float | None) -> float | None:
    """A finite number rounded for reading, for JSON; None for another."""
    return round(float(value), 4) if value is not None and math.isfinite(value) else None


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A GitHub Markdown table, columns padded to equal width; the first column is left-aligned, the others right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(header))]
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]

    def line(row: Sequence[str]) -> str:
        padded = [row[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])])
