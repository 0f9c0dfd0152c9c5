"""Other ways to read one stack: drop-ins for functions of ``core.detection.fusion``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from AutoVolumeCalibrationLib.core.detection import fusion
from AutoVolumeCalibrationLib.core.detection.detector import StackDetections
from AutoVolumeCalibrationLib.core.detection.fusion import StackView
from AutoVolumeCalibrationLib.core.detection.heatmaps import amplitude


def depth_by_parabola(positions_mm: np.ndarray, peak_values: np.ndarray, tau_mm: float) -> tuple[float, bool]:
    """``depth_in_stack`` by the vertex of the parabola through the logarithms of the three highest neighbours."""
    best = int(np.argmax(peak_values))
    if len(positions_mm) < 3 or best in (0, len(positions_mm) - 1):
        return float(positions_mm[best]), True
    near = slice(best - 1, best + 2)
    offsets, logs = positions_mm[near] - positions_mm[best], np.log(np.clip(peak_values[near], 0.02, None))
    curvature, slope, _ = np.polyfit(offsets, logs, 2)
    vertex = -slope / (2 * curvature) if curvature < -1e-6 else 0.0
    return float(positions_mm[best] + np.clip(vertex, offsets[0], offsets[-1])), False


def depth_of_any_height(positions_mm: np.ndarray, peak_values: np.ndarray, tau_mm: float) -> tuple[float, bool]:
    """``depth_in_stack`` with the height of the whole fall-off as a further unknown: a faint landmark is not far."""
    best = int(np.argmax(peak_values))
    if len(positions_mm) < 3 or best in (0, len(positions_mm) - 1):
        return float(positions_mm[best]), True
    return _best_on_grid(positions_mm, peak_values, tau_mm), False


def depth_beyond_the_stack(positions_mm: np.ndarray, peak_values: np.ndarray, tau_mm: float) -> tuple[float, bool]:
    """``depth_in_stack`` that trusts the fall-off also where the outermost slice is the highest."""
    best = int(np.argmax(peak_values))
    inside = best not in (0, len(positions_mm) - 1)
    if len(positions_mm) < 3 or inside:
        return _PRESENT_DEPTH(positions_mm, peak_values, tau_mm)
    return _best_on_grid(positions_mm, peak_values, tau_mm), False


_PRESENT_DEPTH = fusion.depth_in_stack


def _best_on_grid(positions_mm: np.ndarray, peak_values: np.ndarray, tau_mm: float) -> float:
    grid = positions_mm[int(np.argmax(peak_values))] + np.arange(-tau_mm, tau_mm + 0.25, 0.5)
    expected, seen = amplitude(positions_mm[:, None] - grid, tau_mm), np.clip(peak_values, 0, 1)[:, None]
    gain = np.clip((expected * seen).sum(axis=0) / (expected**2).sum(axis=0), 0.2, 1.1)
    return float(grid[np.argmin(((gain * expected - seen) ** 2).sum(axis=0))])


def view_by(weights: str, deviation: str) -> Callable[..., StackView | None]:
    """A ``fusion._view`` with other in-plane weights and deviations.

    Args:
        weights: "height" (as now) or "variance" (inverse of the calibrated one).
        deviation: "best" (of the best slice, as now), "independent" (slices err independently) or "spread" (of the
            best slice, and how far the slices' points scatter about their mean).
    """

    def view(stack: StackDetections, k: int, threshold: float, tau_mm: float, through_plane_mm: float):
        peak_values = stack.peak_values[:, k]
        seen = peak_values >= threshold
        if not seen.any():
            return None
        precise = np.where(seen[:, None], 1 / stack.sd_mm[:, k] ** 2, 0)
        share = precise if weights == "variance" else np.where(seen, peak_values, 0)[:, None] ** fusion.HEIGHT_POWER
        share = np.broadcast_to(share / share.sum(axis=0), precise.shape)
        in_plane = (share * stack.points_mm[:, k]).sum(axis=0)
        best = int(np.argmax(peak_values))
        sd = stack.sd_mm[best, k]
        if deviation == "independent":
            sd = 1 / np.sqrt(precise.sum(axis=0))
        elif deviation == "spread":
            scatter = (share * (stack.points_mm[:, k] - in_plane) ** 2).sum(axis=0)
            sd = np.sqrt(sd**2 + scatter)
        depth, depth_sd = fusion._depth(stack.positions_mm, peak_values, tau_mm, through_plane_mm)
        information = stack.axes.T @ np.diag(1 / np.append(sd, depth_sd) ** 2) @ stack.axes
        return StackView(stack.plane, np.append(in_plane, depth) @ stack.axes, information, float(peak_values[best]))

    return view


def depth_with_open_side(factor: float) -> Callable[..., tuple[float, float]]:
    """A ``fusion._depth`` that trusts the outermost slice less as a place: its deviation times ``factor``.

    A landmark beyond the stack is always farther out than the slice that shows it best.
    """

    def depth(positions_mm: np.ndarray, peak_values: np.ndarray, tau_mm: float, sd_mm: float) -> tuple[float, float]:
        place, deviation = _PRESENT_DEPTH_AND_SD(positions_mm, peak_values, tau_mm, sd_mm)
        open_sided = fusion.depth_in_stack(positions_mm, peak_values, tau_mm)[1]
        return place, deviation * factor if open_sided else deviation

    return depth


_PRESENT_DEPTH_AND_SD = fusion._depth
