"""The line that the box follows, such as AC-PC, on a slice: through its ends, and on across the box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..anatomy.landmark import MISSING
from ..geometry.cross_sections import chord
from .content import reference_line
from .style import REFERENCE_LINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..workflow.calibration import Calibration
    from .views import SliceView

#: A slice further than this from both ends does not show the line, nor one that sees it nearly end on.
_FAR_MM, _LEAST_SHARE = 20.0, 0.7
#: Points that keep names off the line.
_POINTS = 40


@dataclass(frozen=True, eq=False)
class LineEnd:
    """One end of the line: its name for display, the landmark where it is a single one, and its (3,) RAS position."""

    name: str
    landmark: str | None
    position_mm: np.ndarray


def line_ends(calibration: Calibration) -> tuple[LineEnd, LineEnd] | None:
    """The ends of the reference line where its landmarks are shown, at their expected positions where missing.

    None where a landmark has neither.
    """
    shown = dict(calibration.frame.expected_mm)
    for landmark in calibration.landmarks:
        if landmark.status != MISSING and landmark.position_mm is not None:
            shown[landmark.name] = landmark.position_mm
    start, end = reference_line(calibration)
    if any(name not in shown for name in (*start, *end)):
        return None
    return _end(start, shown), _end(end, shown)


def _end(names: Sequence[str], shown: dict[str, np.ndarray]) -> LineEnd:
    position = np.mean([shown[name] for name in names], axis=0)
    return LineEnd(common_name(names), names[0] if len(names) == 1 else None, position)


def common_name(names: Sequence[str]) -> str:
    """One name for the middle of several landmarks: what they have in common (HIPPOCAMPUS_TAIL), else all of them."""
    if len(names) == 1:
        return names[0]
    length = next((i for i, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1), 0)
    return names[0][:length].rstrip("_- ") or " + ".join(names)


def draw_reference_line(axes: Axes, view: SliceView, ends: tuple[LineEnd, LineEnd], outline: np.ndarray) -> np.ndarray:
    """Draw the line: solid between its ends, dotted on to the box's ``outline`` (n, 2) in picture mm.

    Returns:
        (n, 2) points along it; (0, 2) where it was not drawn: the slice shows it from its end only, or is far away.
    """
    from matplotlib.patheffects import withStroke

    positions = np.array([end.position_mm for end in ends])
    points = view.to_picture(positions)
    length = float(np.linalg.norm(positions[1] - positions[0]))
    seen = float(np.linalg.norm(points[1] - points[0]))
    if seen < max(_LEAST_SHARE * length, 1.0) or np.abs(view.distance_mm(positions)).min() > _FAR_MM:
        return np.empty((0, 2))
    rim = [withStroke(linewidth=3.2, foreground="black", alpha=0.6)]
    axes.plot(*points.T, color=REFERENCE_LINE, linewidth=1.8, path_effects=rim, solid_capstyle="butt", zorder=2.5)
    along = (points[1] - points[0]) / seen
    across = np.array([-along[1], along[0]])
    whole = chord(outline, across, float(points[0] @ across)) if len(outline) else None
    if whole is not None:
        axes.plot(*whole.T, color=REFERENCE_LINE, linewidth=1.1, linestyle=(0, (1, 2.5)), zorder=2.4)
    for end, point in zip(ends, points, strict=True):
        if abs(float(view.distance_mm(end.position_mm))) > view.reach_mm or end.landmark is None:
            ring: dict[str, Any] = {"markersize": 6, "markerfacecolor": "none", "markeredgecolor": REFERENCE_LINE}
            axes.plot(*point, marker="o", markeredgewidth=1.4, zorder=2.6, **ring)
    first, last = points if whole is None else whole
    return first + np.linspace(0, 1, _POINTS)[:, None] * (last - first)
