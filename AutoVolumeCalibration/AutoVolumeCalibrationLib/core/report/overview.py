"""The picture of a calibration: three scout planes with the box and the landmarks, and the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files.atomic_write import atomic_path
from ..geometry.coordinates import PLANES
from ..geometry.oriented_box import OrientedBox
from ..scouts.stack import ScoutStack
from .slices import draw_box, draw_image, draw_slice, section_in_picture
from .style import (
    BACKGROUND,
    BOX,
    CORRECTED_MARK,
    EXPECTED,
    FIXED_FONT,
    FONT,
    GREY,
    OUTLIER,
    PANEL,
    TEXT,
    confidence_colour,
)
from .text import Line, panel_lines
from .views import content_mm, nearest_slice, view_slice, window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..workflow.calibration import Calibration

#: Pixels of the picture (width, height); all positions below are pixels from its top left.
SIZE_PX = (2000, 744)
_DPI = 100
_MARGIN, _GAP = 16, 10
_PLANE_PX = 470
_IMAGES_TOP, _STRIP_TOP, _STRIP_GAP = 76, 554, 6
_PANEL_LEFT = _MARGIN + 3 * (_PLANE_PX + _GAP) + 6
_MOST_SMALL_SLICES = 4
_AROUND_CONTENT_MM = 8.0
_LINE_HEIGHT = 1.38  # of a line of type over its size

_WARNING = "Research use only. Not for clinical decisions."

#: Properties of an artist, as matplotlib takes them.
_Style = dict[str, Any]

_HOLLOW: _Style = {"marker": "o", "markersize": 6, "markerfacecolor": "none", "markeredgecolor": EXPECTED}
_SQUARE: _Style = {"marker": "s", "markersize": 7, "markerfacecolor": "none", "markeredgecolor": BOX}
#: (markers, meaning) of every entry.
_LEGEND: tuple[tuple[tuple[_Style, ...], str], ...] = (
    (
        tuple({"marker": "o", "markersize": 5, "color": confidence_colour(c)} for c in (0.0, 0.5, 1.0)),
        "found, unsure to sure (ellipse: 2 sd)",
    ),
    (({"marker": "D", "markersize": 5, "color": CORRECTED_MARK},), "corrected"),
    ((_HOLLOW,), "missing, expected here"),
    (({"marker": "x", "markersize": 6, "markeredgewidth": 1.6, "color": OUTLIER},), "contradicts the others"),
    ((_SQUARE,), "box (band: 2 sd), slices dashed"),
)


def draw_overview(calibration: Calibration, path: Path) -> None:
    """Write the picture of ``calibration`` as a PNG of ``SIZE_PX``, atomically.

    Of each plane the slice nearest to the box's center is shown large, others of its stack small below.

    Raises:
        UsageError: ``path`` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE_PX[0] / _DPI, SIZE_PX[1] / _DPI), dpi=_DPI, facecolor=BACKGROUND)
    canvas = FigureCanvasAgg(figure)
    protocol = calibration.protocol
    _write(figure, _MARGIN, 28, protocol.title, size=15, weight="bold")
    names = f"{protocol.name}  ·  {calibration.box.name}"
    _write(figure, _PANEL_LEFT - 2 * _GAP, 28, names, size=10, color=GREY, ha="right")
    _draw_planes(figure, calibration)
    _draw_panel(figure, panel_lines(calibration))
    _draw_legend(figure)
    with atomic_path(path) as temporary:
        canvas.print_png(temporary)


def _draw_planes(figure: Figure, calibration: Calibration) -> None:
    shown = [_Shown(stack, index) for stack, index in _slices_to_show(calibration)]
    regions = [_region_mm(one, calibration.box) for one in shown]
    # One scale for all planes, so that sizes compare.
    half_mm = max(half for _, half in regions)
    for one, (middle, _) in zip(shown, regions, strict=True):
        left = _column_left(one.view.plane)
        axes = _axes(figure, left, _IMAGES_TOP, _PLANE_PX, _PLANE_PX)
        draw_slice(axes, one.view, calibration, one.grey, middle, half_mm)
        caption = f"{one.view.plane.capitalize()}   slice {one.index + 1} of {len(one.stack.slices)}"
        _write(figure, left, _IMAGES_TOP - 14, caption, size=9.5, color=GREY)
        _draw_strip(figure, left, one, calibration.box)
    for plane in set(PLANES) - {one.view.plane for one in shown}:
        left = _column_left(plane)
        _axes(figure, left, _IMAGES_TOP, _PLANE_PX, _PLANE_PX)
        x, y = left + _PLANE_PX / 2, _IMAGES_TOP + _PLANE_PX / 2
        _write(figure, x, y, f"no {plane} scout", size=11, color=GREY, ha="center")


def _column_left(plane: str) -> float:
    return _MARGIN + PLANES.index(plane) * (_PLANE_PX + _GAP)


def _slices_to_show(calibration: Calibration) -> list[tuple[ScoutStack, int]]:
    """Of each plane that was scanned the stack and slice index nearest to the box's center."""
    nearest = (nearest_slice(calibration.stacks, plane, calibration.box.center_mm) for plane in PLANES)
    return [found for found in nearest if found]


class _Shown:
    """A slice shown large, with the grey values that suit its whole stack."""

    def __init__(self, stack: ScoutStack, index: int) -> None:
        self.stack, self.index = stack, index
        self.view = view_slice(stack, index)
        self.grey = window([scout_slice.pixels for scout_slice in stack.slices])


def _region_mm(shown: _Shown, box: OrientedBox) -> tuple[np.ndarray, float]:
    """Middle (2,) and half width of the square around the anatomy and the box on a slice, in picture mm."""
    left, right, bottom, top = content_mm(shown.view, shown.grey)
    points = np.vstack([[[left, bottom], [right, top]], section_in_picture(shown.view, box)])
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, float((high - low).max()) / 2 + _AROUND_CONTENT_MM


def _draw_strip(figure: Figure, left: float, shown: _Shown, box: OrientedBox) -> None:
    """Other slices of the stack, small, with the box's outline."""
    others = [index for index in range(len(shown.stack.slices)) if index != shown.index]
    if not others:
        return
    picks = np.unique(np.linspace(0, len(others) - 1, min(len(others), _MOST_SMALL_SLICES)).round().astype(int))
    side = (_PLANE_PX - (_MOST_SMALL_SLICES - 1) * _STRIP_GAP) / _MOST_SMALL_SLICES
    for number, index in enumerate(others[pick] for pick in picks):
        view = view_slice(shown.stack, index)
        axes = _axes(figure, left + number * (side + _STRIP_GAP), _STRIP_TOP, side, side)
        draw_image(axes, view, shown.grey)
        limits = axes.axis()
        draw_box(axes, view, box, line_width=0.8)
        axes.axis(limits)
        _write(figure, left + number * (side + _STRIP_GAP) + 5, _STRIP_TOP + 9, str(index + 1), size=7.5, color=GREY)


def _draw_panel(figure: Figure, lines: list[Line]) -> None:
    """The lines in a column, set smaller where they would not fit."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = _PANEL_LEFT, _MARGIN, SIZE_PX[0] - _MARGIN, SIZE_PX[1] - _MARGIN
    corner, width, height = _fractions(left, bottom), (right - left) / SIZE_PX[0], (bottom - top) / SIZE_PX[1]
    figure.add_artist(Rectangle(corner, width, height, transform=figure.transFigure, facecolor=PANEL, edgecolor="none"))
    needed = sum(_line_px(line) for line in lines) + 4 * _GAP
    scale = min(1.0, (bottom - top) / needed)
    y = top + 1.5 * _GAP
    for line in lines:
        y += _line_px(line) * scale
        indent = 16 if line.bullet else 0
        weight = "bold" if line.bold else "normal"
        baseline = y - 0.3 * line.size * scale * _DPI / 72
        if line.bullet and line.bullet != "none":
            _write(figure, left + 14, baseline, "●", size=line.size * scale, color=line.bullet)
        style = {"color": line.colour, "weight": weight, "family": FIXED_FONT if line.fixed else FONT}
        _write(figure, left + 14 + indent, baseline, line.text, size=line.size * scale, **style)


def _line_px(line: Line) -> float:
    return (_LINE_HEIGHT + line.space) * line.size * _DPI / 72


def _draw_legend(figure: Figure) -> None:
    """The meaning of the markers, and the warning, along the lower edge."""
    axes = _axes(figure, _MARGIN, SIZE_PX[1] - 44, _PANEL_LEFT - _MARGIN - _GAP, 30)
    axes.set_axis_off()
    axes.axis((0, _PANEL_LEFT - _MARGIN - _GAP, 0, 30))
    x = 8.0
    for markers, text in _LEGEND:
        for marker in markers:
            axes.plot(x, 15, linestyle="none", **marker)
            x += 14
        axes.text(x, 15, text, color=GREY, fontsize=8, family=FONT, va="center_baseline")
        x += 26 + 6.6 * len(text)
    _write(figure, _PANEL_LEFT - 2 * _GAP, SIZE_PX[1] - 28, _WARNING, size=9.5, ha="right")


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a position in pixels from the picture's top left."""
    x, y = _fractions(left, top + height)
    axes = figure.add_axes((x, y, width / SIZE_PX[0], height / SIZE_PX[1]), facecolor="black")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes


def _write(figure: Figure, left: float, top: float, text: str, size: float, **options: str) -> None:
    """Text with its middle line ``top`` pixels below the picture's upper edge."""
    style: _Style = {"color": TEXT, "family": FONT, "va": "center_baseline"} | options
    figure.text(*_fractions(left, top), text, fontsize=size, **style)


def _fractions(left: float, top: float) -> tuple[float, float]:
    """Figure fractions of a position in pixels from the top left."""
    return left / SIZE_PX[0], 1 - top / SIZE_PX[1]
