"""Display of a scout slice: which slice, its orientation on the screen, and where a RAS point is drawn.

Display is radiological: axial and coronal slices show the patient's right on the left of the
picture, sagittal slices show anterior on the left; superior (axial: anterior) is up. As on a
scanner's console a slice is rotated and flipped in steps of 90 degrees only, never resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..scouts.stack import ScoutStack

#: RAS directions that point to the right and to the top of the picture, per plane.
_SCREEN = {
    "sagittal": (np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])),
    "coronal": (np.array([-1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])),
    "axial": (np.array([-1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])),
}
_SIDE_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
#: A direction this far (cosine) along a second axis shows that axis' letter too: oblique slices.
_SECOND_LETTER_COSINE = 0.3


@dataclass(frozen=True, eq=False)
class SliceView:
    """One slice as it is shown.

    Attributes:
        plane: of its stack.
        image: (rows, columns), row 0 at the top of the picture.
        right, up: (3,) RAS unit vectors to the picture's right and top.
        extent_mm: (left, right, bottom, top) of the image's edges in picture mm (``to_picture``).
        center_mm: (3,) RAS, a point of the slice.
        normal: (3,) RAS unit normal.
        reach_mm: how far from the slice a point still belongs to it.
    """

    plane: str
    image: np.ndarray
    right: np.ndarray
    up: np.ndarray
    extent_mm: tuple[float, float, float, float]
    center_mm: np.ndarray
    normal: np.ndarray
    reach_mm: float

    def to_picture(self, points_mm: np.ndarray) -> np.ndarray:
        """Picture mm (..., 2), to the right and up, of the projections of RAS points (..., 3)."""
        return np.asarray(points_mm, dtype=float) @ np.stack([self.right, self.up], axis=1)

    def distance_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Signed distance (...,) of RAS points (..., 3) from the slice, along its normal."""
        return (np.asarray(points_mm, dtype=float) - self.center_mm) @ self.normal

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Patient sides at the picture's left, right, bottom and top."""
        return side_letter(-self.right), side_letter(self.right), side_letter(-self.up), side_letter(self.up)


def side_letter(direction: np.ndarray) -> str:
    """The patient side that a RAS unit vector (3,) points to, such as "R", or "AS" where it is oblique."""
    order = np.argsort(-np.abs(direction))
    letters = [_SIDE_LETTERS[axis][int(direction[axis] > 0)] for axis in order]
    return "".join(letters[: 2 if abs(direction[order[1]]) > _SECOND_LETTER_COSINE else 1])


def view_slice(stack: ScoutStack, index: int) -> SliceView:
    """The slice ``stack.slices[index]`` in radiological display."""
    scout_slice = stack.slices[index]
    to_right, to_top = _SCREEN[stack.plane]
    image, column_mm, row_mm = scout_slice.pixels, scout_slice.extent_mm[1], scout_slice.extent_mm[0]
    right, down = scout_slice.column_axis, scout_slice.row_axis
    if abs(down @ to_right) + abs(right @ to_top) > abs(right @ to_right) + abs(down @ to_top):
        image, right, down, column_mm, row_mm = image.T, down, right, row_mm, column_mm
    if right @ to_right < 0:
        image, right = image[:, ::-1], -right
    if down @ to_top > 0:
        image, down = image[::-1], -down
    center = scout_slice.center_mm
    u, v = center @ right, -center @ down
    extent = (u - column_mm / 2, u + column_mm / 2, v - row_mm / 2, v + row_mm / 2)
    return SliceView(stack.plane, image, right, -down, extent, center, scout_slice.normal, _reach_mm(stack))


def _reach_mm(stack: ScoutStack) -> float:
    """Half the distance to the neighbouring slices, at least half the thickness."""
    gaps = np.diff(stack.positions_mm)
    return max(float(np.median(gaps)) if len(gaps) else 0.0, stack.thickness_mm) / 2


def nearest_slice(stacks: Sequence[ScoutStack], plane: str, point_mm: np.ndarray) -> tuple[ScoutStack, int] | None:
    """The stack and slice index of ``plane`` that lie nearest to a RAS point (3,); None without such a stack."""
    candidates = [
        (abs(float((scout_slice.center_mm - point_mm) @ stack.normal)), number, index)
        for number, stack in enumerate(stacks)
        if stack.plane == plane
        for index, scout_slice in enumerate(stack.slices)
    ]
    if not candidates:
        return None
    _, number, index = min(candidates)
    return stacks[number], index


def content_mm(view: SliceView, grey: tuple[float, float]) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) in picture mm around what is brighter than background; all where nothing is.

    Args:
        grey: the values shown black and white.
    """
    bright = view.image > grey[0] + 0.15 * (grey[1] - grey[0])
    left, right, bottom, top = view.extent_mm
    # A line of the image counts when 2 % of it is bright, so that noise and artefacts do not.
    columns, rows = (np.flatnonzero(bright.mean(axis=axis) > 0.02) for axis in (0, 1))
    if not len(columns) or not len(rows):
        return view.extent_mm
    pixel_u, pixel_v = (right - left) / bright.shape[1], (top - bottom) / bright.shape[0]
    return (
        left + columns[0] * pixel_u,
        left + (columns[-1] + 1) * pixel_u,
        top - (rows[-1] + 1) * pixel_v,
        top - rows[0] * pixel_v,
    )


def window(images: Sequence[np.ndarray]) -> tuple[float, float]:
    """(black, white) grey values that show a stack well: the 1st and 99.5th percentile of what is not empty."""
    values = np.concatenate([image[::2, ::2].ravel() for image in images])
    tissue = values[values > 0]
    low, high = np.percentile(tissue, [1, 99.5]) if len(tissue) else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))
