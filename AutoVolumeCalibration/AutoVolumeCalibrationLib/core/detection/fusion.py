"""From detections on slices to landmarks in space.

The slices of a stack show the same structure, so their errors are not independent: the stack gives one in-plane
position (weighted by peak value) as certain as its best slice, and one position along its normal, from how the peak
values fall off. Stacks are combined by information (inverse covariance). In a sagittal stack a left/right pair
appears as its middle, which ties both points together, whichever of the two names it was found under; or, where the
model has learnt that, each slice shows the one of the two that is nearer, as the other planes see them
(``sagittal_pairs``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..anatomy.landmark import PREDICTED, Landmark
from .detector import StackDetections
from .heatmaps import amplitude
from .sagittal_pairs import MIDDLE, NEAREST

#: Weight of a slice within its stack: peak value to this power.
HEIGHT_POWER = 3

#: A landmark less certain than this along some axis is not determined by the slices that show it.
LARGEST_SD_MM = 25.0

#: Planes disagree on a landmark when their positions differ by more than this many standard deviations (Birge ratio:
#: root of chi-square per degree of freedom). Any ratio above 1 scales the covariance by its square.
DISAGREEMENT = 3.0


@dataclass(frozen=True, eq=False)
class StackView:
    """One stack's measurement of one landmark, or of the middle of a pair.

    Attributes:
        plane: of the stack.
        position: (3,) RAS mm; information: (3, 3) inverse covariance.
        peak_value: highest in the stack.
        sagittal_pairs: as of the stack.
    """

    plane: str
    position: np.ndarray
    information: np.ndarray
    peak_value: float
    sagittal_pairs: str = MIDDLE

    @property
    def is_middle(self) -> bool:
        """Of the two landmarks of a pair it shows the middle."""
        return self.plane == "sagittal" and self.sagittal_pairs == MIDDLE


@dataclass(frozen=True)
class Fusion:
    """Landmarks in the model's order, and how well the planes agree on them.

    Attributes:
        landmarks: in the model's order.
        disagreeing: names on which the planes disagree, worst first.
        birge_ratios: name -> root of chi-square per degree of freedom, of the landmarks that several planes show.
    """

    landmarks: tuple[Landmark, ...]
    disagreeing: tuple[str, ...]
    birge_ratios: Mapping[str, float] = field(default_factory=dict)


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
        threshold: a lower peak means that the slice does not show the landmark.
        tau_mm: fall-off of the targets' peak values with the distance from the slice.
        through_plane_mm: standard deviation of the position along the normal that a stack's peak values give.
    """
    views = [[_view(d, k, threshold, tau_mm, through_plane_mm) for d in detections] for k in range(len(names))]
    landmarks: dict[str, Landmark] = {}
    reduced_chi: dict[str, float] = {}
    for k, partner in enumerate(mirror):
        if k == partner:
            landmarks[names[k]], reduced_chi[names[k]] = _fuse_single(names[k], views[k])
        elif k < partner:
            pair, of_pair = (names[k], names[partner]), (views[k], views[partner])
            for number, stack in enumerate(detections):
                if stack.sagittal and stack.sagittal_pairs == NEAREST:
                    halves = _halves(stack, of_pair)
                    for own, channel, chosen in zip(of_pair, (k, partner), halves, strict=True):
                        own[number] = _view(stack, channel, threshold, tau_mm, through_plane_mm, chosen)
            for name, (landmark, chi) in zip(pair, _fuse_pair(pair, of_pair), strict=True):
                landmarks[name], reduced_chi[name] = landmark, chi
    worst = sorted((n for n in names if reduced_chi[n] > DISAGREEMENT), key=lambda n: -reduced_chi[n])
    several = {name: reduced_chi[name] for name in names if len(landmarks[name].planes) > 1}
    return Fusion(tuple(landmarks[name] for name in names), tuple(worst), several)


def _view(
    stack: StackDetections,
    k: int,
    threshold: float,
    tau_mm: float,
    through_plane_mm: float,
    chosen: np.ndarray | slice = slice(None),
) -> StackView | None:
    """A stack's measurement of landmark k, by the slices that are ``chosen``; None when none of them shows it."""
    peak_values = stack.peak_values[chosen, k]
    visible = peak_values >= threshold
    if not visible.any():
        return None
    weights = np.where(visible, peak_values, 0) ** HEIGHT_POWER
    weights = weights / weights.sum()
    best = int(np.argmax(peak_values))
    in_plane = weights @ stack.points_mm[chosen, k]
    depth, depth_sd = _depth(stack.positions_mm[chosen], peak_values, tau_mm, through_plane_mm)
    sd = np.append(stack.sd_mm[chosen][best, k], depth_sd)
    position = np.append(in_plane, depth) @ stack.axes
    information = stack.axes.T @ np.diag(1 / sd**2) @ stack.axes
    return StackView(stack.plane, position, information, float(peak_values[best]), stack.sagittal_pairs)


def _halves(stack: StackDetections, views: tuple[Sequence[StackView | None], ...]) -> list[np.ndarray]:
    """Which slices (s,) of a sagittal ``stack`` are nearer to the first point of a pair, and which to the second.

    None are where the other planes do not show both points.
    """
    seen = [[view for view in own if view is not None and view.plane != stack.plane] for own in views]
    if not all(seen):
        return [np.zeros(len(stack.positions_mm), bool)] * 2
    first, second = (_along(stack.axes[2], own) for own in seen)
    is_first = np.abs(stack.positions_mm - first) <= np.abs(stack.positions_mm - second)
    return [is_first, ~is_first]


def _along(direction: np.ndarray, views: Sequence[StackView]) -> float:
    """Position along ``direction`` (3,) by the views, weighted by how much each knows of it."""
    weights = [direction @ view.information @ direction for view in views]
    return float(np.average([direction @ view.position for view in views], weights=weights))


def depth_in_stack(positions_mm: np.ndarray, peak_values: np.ndarray, tau_mm: float) -> tuple[float, bool]:
    """Position along the normal that best explains the peak values (s,) of slices at ``positions_mm`` (s,).

    Returns:
        The position, and whether it is open-sided: the highest peak lies in an outermost slice, so that
        only the distance from that slice is known, not the side; that slice's position is then returned.
    """
    best = int(np.argmax(peak_values))
    if best in (0, len(positions_mm) - 1):
        return float(positions_mm[best]), True
    grid = positions_mm[best] + np.arange(-tau_mm, tau_mm + 0.25, 0.5)
    expected = amplitude(positions_mm[:, None] - grid, tau_mm)
    mismatch = ((expected - np.clip(peak_values, 0, 1)[:, None]) ** 2).sum(axis=0)
    return float(grid[np.argmin(mismatch)]), False


def _depth(positions_mm: np.ndarray, peak_values: np.ndarray, tau_mm: float, sd_mm: float) -> tuple[float, float]:
    """Position along the normal and its standard deviation; open-sided, the distance from the peak value adds to it."""
    depth, open_sided = depth_in_stack(positions_mm, peak_values, tau_mm)
    if not open_sided:
        return depth, sd_mm
    distance = tau_mm * np.sqrt(-2 * np.log(np.clip(peak_values.max(), 0.05, 0.99)))
    return depth, float(np.hypot(sd_mm, distance))


def _fuse_single(name: str, views: Sequence[StackView | None]) -> tuple[Landmark, float]:
    found = [view for view in views if view is not None]
    rows = [(np.eye(3), view) for view in found]
    return _landmarks_of((name,), (found,), rows)[0]


def _fuse_pair(
    names: tuple[str, str], views: tuple[Sequence[StackView | None], Sequence[StackView | None]]
) -> list[tuple[Landmark, float]]:
    """Both points of a pair at once: six unknowns, a view of their middle ties them."""
    rows: list[tuple[np.ndarray, StackView]] = []
    found: tuple[list[StackView], list[StackView]] = ([], [])
    for side in range(2):
        for view in views[side]:
            if view is None:
                continue
            if view.is_middle:
                matrix = np.hstack([np.eye(3) / 2, np.eye(3) / 2])
                # Both channels of a pair carry the same middle; each counts half.
                rows.append((matrix, replace(view, information=view.information / 2)))
            else:
                matrix = np.zeros((3, 6))
                matrix[:, 3 * side : 3 * side + 3] = np.eye(3)
                rows.append((matrix, view))
            found[side].append(view)
    # A middle that only one name of the pair shows places the other one as well, where something else shows the first.
    found_by_other = [
        [view for view in found[1 - side] if view.is_middle and not any(own.is_middle for own in found[side])]
        for side in range(2)
    ]
    return _landmarks_of(names, [own + others for own, others in zip(found, found_by_other, strict=True)], rows)


def _landmarks_of(
    names: Sequence[str], views: Sequence[Sequence[StackView]], rows: Sequence[tuple[np.ndarray, StackView]]
) -> list[tuple[Landmark, float]]:
    """Solve the normal equations of ``rows`` (matrix (3, 3n), view) for n points, each with its own ``views``.

    Returns:
        Each landmark with its Birge ratio, 0 where it is missing.
    """
    size = 3 * len(names)
    normal, right = np.zeros((size, size)), np.zeros(size)
    # Relative to their middle, so that the weak prior below does not pull points towards the world's origin.
    middle = np.mean([view.position for _, view in rows], axis=0) if rows else np.zeros(3)
    for matrix, view in rows:
        normal += matrix.T @ view.information @ matrix
        right += matrix.T @ view.information @ (view.position - middle)
    # A very weak prior keeps undetermined directions finite; their variance then rejects them.
    covariance = np.linalg.inv(normal + np.eye(size) * 1e-6)
    points = covariance @ right + np.tile(middle, len(names))
    residual = sum(
        float((view.position - matrix @ points) @ view.information @ (view.position - matrix @ points))
        for matrix, view in rows
    )
    reduced_chi = float(np.sqrt(residual / max(1, 3 * len(rows) - size))) if len(rows) > 1 else 0.0
    covariance = covariance * max(1.0, reduced_chi) ** 2
    results = []
    for i, name in enumerate(names):
        block = covariance[3 * i : 3 * i + 3, 3 * i : 3 * i + 3]
        if not views[i] or np.sqrt(np.linalg.eigvalsh(block)[-1]) > LARGEST_SD_MM:
            results.append((Landmark(name), 0.0))
            continue
        confidence = float(np.clip(max(view.peak_value for view in views[i]), 0, 1))
        planes = tuple(dict.fromkeys(view.plane for view in views[i]))
        point = points[3 * i : 3 * i + 3]
        results.append((Landmark(name, point, block, confidence, PREDICTED, planes), reduced_chi))
    return results
