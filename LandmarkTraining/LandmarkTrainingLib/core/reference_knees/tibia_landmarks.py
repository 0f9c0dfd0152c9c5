"""Landmarks of the proximal tibia by rules, in a frame within about 15 deg of the knee's own.

The upper envelope shows the eminence in the middle and a plateau on either side of it.
"""

from __future__ import annotations

import numpy as np

from .surface_points import envelope, shaft_center

#: Level of the shaft point below the plateaus, as a fraction of the epicondylar width.
SHAFT_BELOW = 0.4

#: The eminence is the high ground within this height of its peak, mm: the tops of its two spines alone jump.
EMINENCE_MM = 5.0

#: A plateau lies within this height of its level, mm, and further from the eminence than this part of the width.
PLATEAU_MM, PLATEAU_FROM = 6.0, 0.12


def tibia_landmarks(tibia: np.ndarray, epicondylar_width_mm: float) -> dict[str, np.ndarray]:
    """Name -> (3,) of the landmarks of a tibia (n, 3) (right, anterior, superior mm)."""
    right, anterior, heights = envelope(tibia, 1)
    ground = _Ground(right, anterior, _smoothed(heights), tibia)
    found = {"EMINENCE": ground.eminence()}
    for side, sign in (("R", 1), ("L", -1)):
        found[f"PLATEAU_{side}"], found[f"PLATEAU_POST_{side}"] = ground.plateau(sign, float(found["EMINENCE"][0]))
    level = (found["PLATEAU_R"][2] + found["PLATEAU_L"][2]) / 2
    shaft = shaft_center(tibia, level - SHAFT_BELOW * epicondylar_width_mm, level - 22)
    if shaft is not None:
        found["TIBIA_SHAFT"] = shaft
    return found


def _smoothed(heights: np.ndarray) -> np.ndarray:
    """Median over 3 x 3 cells, of those that have bone; NaN where the cell itself has none."""
    padded = np.pad(heights, 1, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).reshape(*heights.shape, 9)
    smooth = np.full(heights.shape, np.nan)
    bone = np.isfinite(heights)
    smooth[bone] = np.nanmedian(windows[bone], axis=1)
    return smooth


class _Ground:
    """The tibia seen from above: heights (a, b) over right (a,) and anterior (b,), NaN where there is no bone."""

    def __init__(self, right: np.ndarray, anterior: np.ndarray, heights: np.ndarray, tibia: np.ndarray) -> None:
        self.right, self.anterior = np.meshgrid(right, anterior, indexing="ij")
        self.heights = heights
        top = np.nanpercentile(heights, 99.8)
        head = tibia[tibia[:, 2] > top - 25]
        self.first, self.last = np.percentile(head[:, 0], [1, 99])
        self.rear, self.front = np.percentile(head[head[:, 2] < top - 8][:, 1], [1, 99])

    @property
    def width(self) -> float:
        return float(self.last - self.first)

    def eminence(self) -> np.ndarray:
        """Centroid of the high ground in the middle, weighted by height; the height is its peak's."""
        depth = self.front - self.rear
        middle = np.abs(self.right - (self.first + self.last) / 2) < 0.2 * self.width
        middle &= (self.anterior > self.rear + 0.25 * depth) & (self.anterior < self.front - 0.2 * depth)
        heights = np.where(middle & np.isfinite(self.heights), self.heights, -np.inf)
        peak = heights.max()
        weight = np.clip(heights - (peak - EMINENCE_MM), 0, None)
        return np.array([np.average(self.right, weights=weight), np.average(self.anterior, weights=weight), peak])

    def plateau(self, sign: int, eminence: float) -> tuple[np.ndarray, np.ndarray]:
        """Centre of the plateau on one side (+1 right), and the middle of its rear edge."""
        foot = self._footprint(sign, eminence)
        center = np.array([self.right[foot].mean(), self.anterior[foot].mean()])
        near = foot & (np.hypot(self.right - center[0], self.anterior - center[1]) < 6)
        strip = foot & (np.abs(self.right - center[0]) < 4)
        columns = [column for column in range(len(strip)) if strip[column].any()]
        edge = float(np.mean([self.anterior[column][strip[column]].min() for column in columns]))
        rim = strip & (self.anterior < edge + 5)
        return (
            np.array([*center, np.nanmedian(self.heights[near])]),
            np.array([center[0], edge, np.nanmedian(self.heights[rim])]),
        )

    def _footprint(self, sign: int, eminence: float) -> np.ndarray:
        from scipy.ndimage import binary_fill_holes, binary_opening, label

        depth = self.front - self.rear
        beside = sign * (self.right - eminence)
        side = beside > PLATEAU_FROM * self.width
        reach = self.last - eminence if sign > 0 else eminence - self.first
        core = side & (beside < 0.8 * reach)
        core &= (self.anterior > self.rear + 0.3 * depth) & (self.anterior < self.rear + 0.7 * depth)
        level = np.nanmedian(self.heights[core])
        pieces, _ = label(side & (np.abs(self.heights - level) < PLATEAU_MM))
        foot = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
        return np.asarray(binary_fill_holes(binary_opening(foot)))
