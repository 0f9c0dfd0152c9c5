"""Names beside the points of a slice, each where it covers nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .style import FONT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Names on a slice, at most.
_MOST_LABELS = 9
#: Height and width of a letter over the size of the type, and the half width of a marker in points.
_LETTER_HEIGHT, _LETTER_WIDTH, _MARKER = 1.15, 0.74, 3.0

#: (left, bottom, right, top) in picture mm.
Area = tuple[float, float, float, float]


def draw_labels(
    axes: Axes,
    labels: Iterable[tuple[str, np.ndarray]],
    markers: Iterable[np.ndarray],
    mm_per_point: float,
    size: float,
    reserved: Iterable[Area] = (),
) -> None:
    """Write the first names that find room beside their point.

    Args:
        labels: name and (2,) position in picture mm, the most important first.
        markers: (2,) positions of everything that must stay visible.
        mm_per_point: picture mm of a point of type.
        size: of the type, in points.
        reserved: (left, bottom, right, top) in picture mm that stay free of names.
    """
    height = _LETTER_HEIGHT * size * mm_per_point
    taken = [_rectangle(point, _MARKER * mm_per_point, _MARKER * mm_per_point) for point in markers]
    taken += reserved
    named = 0
    for name, point in labels:
        width = _LETTER_WIDTH * size * mm_per_point * len(name)
        for shift in _offsets(width, height, gap=(2.5 + 0.4 * size) * mm_per_point):
            area = _rectangle(point + shift, width / 2, height / 2)
            if _inside(area, axes) and not any(_overlap(area, other) for other in taken):
                taken.append(area)
                draw_text(axes, point + shift, name, size, weight="bold")
                named += 1
                break
        if named == _MOST_LABELS:
            return


def draw_text(axes: Axes, point: np.ndarray, text: str, size: float, color: str = "white", **options: Any) -> None:
    """Text with a dark rim, readable on any grey; ``point`` in picture mm."""
    from matplotlib.patheffects import withStroke

    placed: dict[str, Any] = {"ha": "center", "va": "center", "clip_on": True} | options
    rim = [withStroke(linewidth=2.6, foreground="black")]
    axes.text(point[0], point[1], text, color=color, fontsize=size, family=FONT, path_effects=rim, **placed)


def _offsets(width: float, height: float, gap: float) -> list[np.ndarray]:
    """Offsets (2,) of a label's middle from its point, the preferred one first."""
    beside, above = width / 2 + gap, height / 2 + gap * 0.6
    straight = [np.array(area) for area in ((beside, 0), (-beside, 0), (0, above), (0, -above))]
    near = [np.array([side * (beside - gap * 0.3), level * above]) for level in (1, -1) for side in (1, -1)]
    return straight + near + [np.array([0, level * 2.2 * above]) for level in (1, -1)]


def _rectangle(middle: np.ndarray, half_width: float, half_height: float) -> Area:
    return middle[0] - half_width, middle[1] - half_height, middle[0] + half_width, middle[1] + half_height


def _overlap(a: Area, b: Area) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _inside(area: Area, axes: Axes) -> bool:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    return left < area[0] and area[2] < right and bottom < area[1] and area[3] < top
