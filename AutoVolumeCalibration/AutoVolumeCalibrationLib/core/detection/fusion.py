"""From detections on slices to landmarks in space.

Within a stack the slices see the same structure, so their errors are not independent: the stack gives one
in-plane place (weighted by peak height) as certain as its best slice, and one place along its normal, from how
the peak heights fall off (DESIGN 8). Stacks are combined by information (inverse covariance). A
sagittal stack sees a left/right pair as its middle, which ties both points together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..anatomy.landmark import PREDICTED, Landmark
from .detector import StackDetections
from .heatmaps import amplitude

#: Weight of a slice within its stack: peak height to this power.
HEIGHT_POWER = 3

#: A landmark less certain than this along some axis is not determined by the slices that see it.
LARGEST_SD_MM = 25.0

#: Planes disagree on a landmark when their places differ by more than this many standard deviations (root of
#: chi-square per degree of freedom); its covariance then grows by the square.
DISAGREEMENT = 3.0

#: Two planes whose clearly seen midline landmarks, at least so many, lie apart by more than so many mm in the median
#: show a head that moved. Chosen on four heads of split train: at rest up to 2.5 mm, moved by 5 mm and 5 deg 2.7 to
#: 5.6 mm. What it catches: ``Testing/benchmarks/limits.py``, "moved before axial".
FEWEST_COMMON, MOVED_MM = 5, 3.0

#: Peak height of what is seen clearly, and sine of the angle from which on two planes cross.
CLEAR_HEIGHT, CROSSING = 0.5, 0.5


@dataclass(frozen=True, eq=False)
class StackView:
    """What one stack tells of one landmark (or of the middle of a pair): ``place`` (3,) with ``information`` (3, 3)."""

    plane: str
    place: np.ndarray
    information: np.ndarray
    height: float


@dataclass(frozen=True)
class Fusion:
    """Landmarks in the model's order, and the names on which the planes disagree: worst first, then those that planes
    place apart as a whole."""

    landmarks: tuple[Landmark, ...]
    disagreeing: tuple[str, ...]


def fuse(
    detections: Sequence[StackDetections],
    names: Sequence[str],
    mirror: np.ndarray,
    threshold: float,
    tau_mm: float,
    through_plane_mm: float,
) -> Fusion:
    """Combine the stacks' detections.

    Args:
        names: k landmark names; mirror: (k,) index of each one's left/right partner, its own where there is none.
        threshold: a slice whose peak is lower does not see the landmark.
        tau_mm: fall-off of the targets' heights with the distance from the slice.
        through_plane_mm: standard deviation of the place along the normal from a stack's heights.
    """
    views = [[_view(d, k, threshold, tau_mm, through_plane_mm) for d in detections] for k in range(len(names))]
    landmarks: list[Landmark | None] = [None] * len(names)
    reduced_chi: dict[str, float] = {}
    for k, partner in enumerate(mirror):
        if k == partner:
            landmarks[k], reduced_chi[names[k]] = _fuse_single(names[k], views[k])
        elif k < partner:
            solved = _fuse_pair((names[k], names[partner]), (views[k], views[partner]))
            for index, (landmark, chi) in zip((k, partner), solved, strict=True):
                landmarks[index], reduced_chi[names[index]] = landmark, chi
    worst = sorted((n for n in names if reduced_chi[n] > DISAGREEMENT), key=lambda n: -reduced_chi[n])
    moved = [names[k] for k in landmarks_with_interplane_shift(detections, mirror)]
    return Fusion(tuple(landmarks), tuple(dict.fromkeys([*worst, *moved])))


def landmarks_with_interplane_shift(detections: Sequence[StackDetections], mirror: np.ndarray) -> list[int]:
    """Landmarks that two planes place apart, all alike: the patient moved between them.

    Two planes share one direction. What both see clearly on midline landmarks is compared along it; single landmarks
    differ by some millimetres, but the median of them hardly does unless the head was elsewhere.
    """
    apart: list[int] = []
    for number, first in enumerate(detections):
        for second in detections[number + 1 :]:
            shared = np.cross(first.axes[2], second.axes[2])
            length = np.linalg.norm(shared)
            if length < CROSSING:
                continue
            common = [k for k in np.flatnonzero(mirror == np.arange(len(mirror))) if _both_see(first, second, k)]
            differences = [(_clearest(first, k) - _clearest(second, k)) @ shared / length for k in common]
            if len(common) >= FEWEST_COMMON and abs(np.median(differences)) > MOVED_MM:
                apart += [k for k in common if k not in apart]
    return apart


def _both_see(first: StackDetections, second: StackDetections, k: int) -> bool:
    return min(first.peak_values[:, k].max(), second.peak_values[:, k].max()) >= CLEAR_HEIGHT


def _clearest(stack: StackDetections, k: int) -> np.ndarray:
    """(3,) in-plane place of landmark k on the slice that shows it best; the part along the normal is left out."""
    return stack.points_mm[int(np.argmax(stack.peak_values[:, k])), k] @ stack.axes[:2]


def _view(stack: StackDetections, k: int, threshold: float, tau_mm: float, through_plane_mm: float) -> StackView | None:
    """What a stack tells of landmark k; None when no slice sees it."""
    peak_values = stack.peak_values[:, k]
    seen = peak_values >= threshold
    if not seen.any():
        return None
    weights = np.where(seen, peak_values, 0) ** HEIGHT_POWER
    weights = weights / weights.sum()
    best = int(np.argmax(peak_values))
    in_plane = weights @ stack.points_mm[:, k]
    depth, depth_sd = _depth(stack.positions_mm, peak_values, tau_mm, through_plane_mm)
    sd = np.append(stack.sd_mm[best, k], depth_sd)
    place = np.append(in_plane, depth) @ stack.axes
    information = stack.axes.T @ np.diag(1 / sd**2) @ stack.axes
    return StackView(stack.plane, place, information, float(peak_values[best]))


def depth_in_stack(positions_mm: np.ndarray, peak_values: np.ndarray, tau_mm: float) -> tuple[float, bool]:
    """Place along the normal that explains the peak heights (s,) of slices at ``positions_mm`` (s,) best.

    Returns:
        The place, and whether it is open-sided: the highest peak lies in an outermost slice, so that
        only the distance from that slice is known, not the side; its place is then returned.
    """
    best = int(np.argmax(peak_values))
    if len(positions_mm) < 3 or best in (0, len(positions_mm) - 1):
        return float(positions_mm[best]), True
    grid = positions_mm[best] + np.arange(-tau_mm, tau_mm + 0.25, 0.5)
    expected = amplitude(positions_mm[:, None] - grid, tau_mm)
    mismatch = ((expected - np.clip(peak_values, 0, 1)[:, None]) ** 2).sum(axis=0)
    return float(grid[np.argmin(mismatch)]), False


def _depth(positions_mm: np.ndarray, peak_values: np.ndarray, tau_mm: float, sd_mm: float) -> tuple[float, float]:
    """Place along the normal and its standard deviation; open-sided, the distance that the height tells adds to it."""
    depth, open_sided = depth_in_stack(positions_mm, peak_values, tau_mm)
    if not open_sided:
        return depth, sd_mm
    distance = tau_mm * np.sqrt(-2 * np.log(np.clip(peak_values.max(), 0.05, 0.99)))
    return depth, float(np.hypot(sd_mm, distance))


def _fuse_single(name: str, views: Sequence[StackView | None]) -> tuple[Landmark, float]:
    seen = [view for view in views if view is not None]
    rows = [(np.eye(3), view) for view in seen]
    return _landmarks_of((name,), (seen,), rows)[0]


def _fuse_pair(
    names: tuple[str, str], views: tuple[Sequence[StackView | None], Sequence[StackView | None]]
) -> list[tuple[Landmark, float]]:
    """Both points of a pair at once: six unknowns, sagittal views tie their middle."""
    rows, seen = [], ([], [])
    for side in range(2):
        for view in views[side]:
            if view is None:
                continue
            if view.plane == "sagittal":
                matrix = np.hstack([np.eye(3) / 2, np.eye(3) / 2])
                # Both channels of a pair carry the same middle; each counts half.
                rows.append((matrix, StackView(view.plane, view.place, view.information / 2, view.height)))
            else:
                matrix = np.zeros((3, 6))
                matrix[:, 3 * side : 3 * side + 3] = np.eye(3)
                rows.append((matrix, view))
            seen[side].append(view)
    return _landmarks_of(names, seen, rows)


def _landmarks_of(
    names: Sequence[str], seen: Sequence[Sequence[StackView]], rows: Sequence[tuple[np.ndarray, StackView]]
) -> list[tuple[Landmark, float]]:
    """Solve the normal equations of ``rows`` (matrix (3, 3n), view) for the n points."""
    size = 3 * len(names)
    normal, right = np.zeros((size, size)), np.zeros(size)
    # Counted from their middle, so that the weak prior below does not draw points towards the world's origin.
    middle = np.mean([view.place for _, view in rows], axis=0) if rows else np.zeros(3)
    for matrix, view in rows:
        normal += matrix.T @ view.information @ matrix
        right += matrix.T @ view.information @ (view.place - middle)
    # A very weak prior keeps undetermined directions finite; they are then refused by their variance.
    covariance = np.linalg.inv(normal + np.eye(size) * 1e-6)
    points = covariance @ right + np.tile(middle, len(names))
    residual = sum(
        float((view.place - matrix @ points) @ view.information @ (view.place - matrix @ points))
        for matrix, view in rows
    )
    reduced_chi = np.sqrt(residual / max(1, 3 * len(rows) - size)) if len(rows) > 1 else 0.0
    covariance = covariance * max(1.0, reduced_chi) ** 2
    results = []
    for i, name in enumerate(names):
        block = covariance[3 * i : 3 * i + 3, 3 * i : 3 * i + 3]
        if not seen[i] or np.sqrt(np.linalg.eigvalsh(block)[-1]) > LARGEST_SD_MM:
            results.append((Landmark(name), 0.0))
            continue
        confidence = float(np.clip(max(view.height for view in seen[i]), 0, 1))
        planes = tuple(dict.fromkeys(view.plane for view in seen[i]))
        point = points[3 * i : 3 * i + 3]
        results.append((Landmark(name, point, block, confidence, PREDICTED, planes), float(reduced_chi)))
    return results
