"""The picture of a calibration: three scout planes with box, line and landmarks, findings, console cards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files.atomic_write import atomic_path
from ..geometry.coordinates import PLANES
from ..geometry.oriented_box import OrientedBox
from ..scouts.stack import ScoutStack
from .content import VERDICTS, reference_line, worst_level
from .panels import card_panels, draw_panels, plan_panels
from .reference_line import common_name, line_ends
from .sheet import DPI, Sheet, width_px
from .slices import draw_image, draw_outline, draw_slice, section_in_picture
from .style import (
    BACKGROUND,
    BOX,
    CORRECTED_MARK,
    EXPECTED,
    FONT,
    GREY,
    LEVEL_COLOURS,
    LEVEL_SIGNS,
    OUTLIER,
    REFERENCE_LINE,
    TEXT,
    confidence_colour,
)
from .views import SliceView, content_mm, nearest_slice, view_slice, window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Affine2D

    from ..workflow.calibration import Calibration

#: Pixels of the picture (width, height); all positions below are pixels from its top left.
SIZE_PX = (1600, 1660)
_MARGIN, _GAP = 16, 10
_HEADER_PX, _CAPTION_PX, _LEGEND_PX = 72, 34, 44
_PLANE_PX = (SIZE_PX[0] - 2 * _MARGIN - 2 * _GAP) // 3
_MOST_SMALL_SLICES, _STRIP_GAP = 4, 6
_STRIP_PX = (_PLANE_PX - (_MOST_SMALL_SLICES - 1) * _STRIP_GAP) // _MOST_SMALL_SLICES
_STRIP_TOP = _CAPTION_PX + _PLANE_PX + _STRIP_GAP
#: The planes with captions, small slices and legend alone.
PLANES_SIZE_PX = (SIZE_PX[0], _STRIP_TOP + _STRIP_PX + _LEGEND_PX)
_PANELS_TOP, _PANELS_PX = _HEADER_PX + PLANES_SIZE_PX[1] + 4, 250
_CARDS_TOP = _PANELS_TOP + _PANELS_PX + _GAP
_AROUND_CONTENT_MM = 8.0
#: Type in points: at half size, as on a web page, 13 is still read.
_VERDICT_SIZE, _TITLE_SIZE, _NAME_SIZE, _CAPTION_SIZE, _LEGEND_SIZE, _SMALL_SIZE = 20.0, 15.0, 13.0, 13.0, 12.0, 10.0

_WARNING = "Research use only. Not for clinical decisions."

#: Properties of a marker, as matplotlib takes them.
_Style = dict[str, Any]

_HOLLOW: _Style = {
    "marker": "o",
    "markersize": 8,
    "markerfacecolor": "none",
    "markeredgewidth": 1.6,
    "markeredgecolor": EXPECTED,
}
_SQUARE: _Style = {
    "marker": "s",
    "markersize": 9,
    "markerfacecolor": "none",
    "markeredgewidth": 1.8,
    "markeredgecolor": BOX,
}
_CROSS: _Style = {"marker": "x", "markersize": 8, "markeredgewidth": 2.4, "color": OUTLIER}
_DASH: _Style = {"marker": "_", "markersize": 14, "markeredgewidth": 2.2, "color": REFERENCE_LINE}
#: A longer name of the reference line is left to the picture, where its ends are named.
_LONGEST_LINE = 20
#: (markers, meaning) of every entry; "{line}" is the name of the reference line.
_LEGEND: tuple[tuple[tuple[_Style, ...], str], ...] = (
    (({**_DASH},), "{line}"),
    (
        tuple({"marker": "o", "markersize": 7, "color": confidence_colour(c)} for c in (0.0, 0.5, 1.0)),
        "found, unsure to sure (ellipse: 2 sd)",
    ),
    (({"marker": "D", "markersize": 7, "color": CORRECTED_MARK},), "corrected"),
    ((_HOLLOW,), "missing, expected here"),
    ((_CROSS,), "contradicts the others"),
    ((_SQUARE,), "box (band: 2 sd), slices dashed"),
)


def draw_overview(calibration: Calibration, path: Path) -> None:
    """Write the picture of ``calibration`` as a PNG of ``SIZE_PX``, atomically.

    Of each plane the slice nearest to the reference line is shown large, others of its stack small below.

    Raises:
        UsageError: ``path`` cannot be written.
    """
    sheet = Sheet(SIZE_PX)
    _draw_header(sheet, calibration)
    _draw_planes(sheet, calibration, _HEADER_PX)
    columns = [_column_left(plane) for plane in PLANES]
    cards_px = SIZE_PX[1] - _MARGIN - _CARDS_TOP
    draw_panels(sheet, plan_panels(calibration, _PLANE_PX), columns, _PANELS_TOP, (_PLANE_PX, _PANELS_PX))
    draw_panels(sheet, card_panels(calibration, _PLANE_PX), columns, _CARDS_TOP, (_PLANE_PX, cards_px))
    with atomic_path(path) as temporary:
        sheet.save(temporary)


def planes_jpeg(calibration: Calibration) -> bytes:
    """The planes alone as a JPEG of ``PLANES_SIZE_PX``, for a page that holds the texts itself."""
    sheet = Sheet(PLANES_SIZE_PX)
    _draw_planes(sheet, calibration, 0)
    return sheet.jpeg()


def _draw_header(sheet: Sheet, calibration: Calibration) -> None:
    """The verdict with its sign, so that no colour has to be seen; title and warning."""
    level, protocol, right = worst_level(calibration), calibration.protocol, SIZE_PX[0] - _MARGIN
    verdict = f"{LEVEL_SIGNS[level]} {VERDICTS[level]}"
    sheet.write(_MARGIN, 48, verdict, _VERDICT_SIZE, colour=LEVEL_COLOURS[level], bold=True)
    title = f"{protocol.title}  ·  {protocol.name}  ·  {calibration.box.name}"
    sheet.write(right, 31, title, _TITLE_SIZE, side="r")
    sheet.write(right, 60, _WARNING, _LEGEND_SIZE, colour=GREY, side="r")


def _draw_planes(sheet: Sheet, calibration: Calibration, top: int) -> None:
    """The three planes with captions, small slices and legend, from ``top`` on."""
    from matplotlib.figure import Figure

    shown = [_Shown(stack, index) for stack, index in _slices_to_show(calibration)]
    regions = [_region_mm(one, calibration.box) for one in shown]
    # One scale for all planes, so that sizes compare.
    half_mm = max(half for _, half in regions)
    size = PLANES_SIZE_PX
    # Without pyplot no figure is kept anywhere once it is written.
    figure = Figure(figsize=(size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor=BACKGROUND)
    for one, (middle, _) in zip(shown, regions, strict=True):
        left = _column_left(one.view.plane)
        axes = _axes(figure, left, _CAPTION_PX, _PLANE_PX, _PLANE_PX)
        draw_slice(axes, one.view, calibration, one.grey, middle, half_mm, _NAME_SIZE)
        _draw_strip(figure, left, one, calibration.box)
    _draw_legend(figure, calibration)
    sheet.paste(figure, 0, top)
    for one in shown:
        caption = f"{one.view.plane.capitalize()}   slice {one.index + 1} of {len(one.stack.slices)}"
        sheet.write(_column_left(one.view.plane), top + 24, caption, _CAPTION_SIZE, colour=GREY)
        for number, index in enumerate(one.others):
            x = _column_left(one.view.plane) + number * (_STRIP_PX + _STRIP_GAP) + 6
            sheet.write(x, top + _STRIP_TOP + 17, str(index + 1), _SMALL_SIZE, colour=GREY)
    for plane in set(PLANES) - {one.view.plane for one in shown}:
        x, y = _column_left(plane) + _PLANE_PX / 2, top + _CAPTION_PX + _PLANE_PX / 2
        sheet.write(x, y, f"no {plane} scout", _TITLE_SIZE, colour=GREY, side="m")


def _column_left(plane: str) -> float:
    return _MARGIN + PLANES.index(plane) * (_PLANE_PX + _GAP)


def _slices_to_show(calibration: Calibration) -> list[tuple[ScoutStack, int]]:
    """Of each plane that was scanned the stack and slice index nearest to the middle of the reference line."""
    ends = line_ends(calibration)
    middle = np.mean([end.position_mm for end in ends], axis=0) if ends else calibration.box.center_mm
    nearest = (nearest_slice(calibration.stacks, plane, middle) for plane in PLANES)
    return [found for found in nearest if found]


class _Shown:
    """A slice shown large, the ``others`` of its stack shown small, with the grey values that suit the whole stack."""

    def __init__(self, stack: ScoutStack, index: int) -> None:
        self.stack, self.index = stack, index
        self.view = view_slice(stack, index)
        self.grey = window([scout_slice.pixels for scout_slice in stack.slices])
        others = [other for other in range(len(stack.slices)) if other != index]
        count = min(len(others), _MOST_SMALL_SLICES)
        picks = np.unique(np.linspace(0, max(len(others) - 1, 0), count).round().astype(int))
        self.others = [others[pick] for pick in picks]


def _region_mm(shown: _Shown, box: OrientedBox) -> tuple[np.ndarray, float]:
    """Middle (2,) and half width of the square around the anatomy and the box on a slice, in picture mm."""
    left, right, bottom, top = content_mm(shown.view, shown.grey)
    points = np.vstack([[[left, bottom], [right, top]], section_in_picture(shown.view, box)])
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, float((high - low).max()) / 2 + _AROUND_CONTENT_MM


def _draw_strip(figure: Figure, left: float, shown: _Shown, box: OrientedBox) -> None:
    """The small slices with the box's outline; all in one axes, which draws much faster than one for each."""
    if not shown.others:
        return
    axes = _axes(figure, left, _STRIP_TOP, _PLANE_PX, _STRIP_PX)
    axes.set_facecolor(BACKGROUND)
    for number, index in enumerate(shown.others):
        view = view_slice(shown.stack, index)
        to_cell = _to_cell(view, number)
        draw_image(axes, view, shown.grey, transform=to_cell + axes.transData)
        draw_outline(axes, to_cell.transform(section_in_picture(view, box)), line_width=1.2, within=_cell(number))
    axes.axis((0, _PLANE_PX / _STRIP_PX, 0, 1))


def _cell(number: int) -> tuple[float, float]:
    """Left and right edge of a small slice in its strip, whose height is 1."""
    left = number * (1 + _STRIP_GAP / _STRIP_PX)
    return left, left + 1


def _to_cell(view: SliceView, number: int) -> Affine2D:
    """From picture mm into the cell of a small slice: the whole image, centred."""
    from matplotlib.transforms import Affine2D

    left, right, bottom, top = view.extent_mm
    scale = 1 / max(right - left, top - bottom)
    to_middle = Affine2D().translate(-(left + right) / 2, -(bottom + top) / 2)
    return to_middle.scale(scale).translate(_cell(number)[0] + 0.5, 0.5)


def _draw_legend(figure: Figure, calibration: Calibration) -> None:
    """The meaning of the markers, in a line of their own."""
    width = SIZE_PX[0] - 2 * _MARGIN
    axes = _axes(figure, _MARGIN, PLANES_SIZE_PX[1] - _LEGEND_PX, width, _LEGEND_PX)
    axes.set_axis_off()
    axes.axis((0, width, 0, _LEGEND_PX))
    line = " - ".join(common_name(names) for names in reference_line(calibration))
    name = f"{line} line" if len(line) <= _LONGEST_LINE else "line of the box"
    x, y = 10.0, _LEGEND_PX / 2
    for markers, entry in _LEGEND:
        text = entry.format(line=name)
        for marker in markers:
            axes.plot(x, y, linestyle="none", **marker)
            x += 17
        axes.text(x, y, text, color=TEXT, fontsize=_LEGEND_SIZE, family=FONT, va="center_baseline")
        x += 38 + width_px(text, _LEGEND_SIZE)


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes without ticks and frame at a position in pixels from the figure's top left."""
    total_width, total_height = PLANES_SIZE_PX
    bounds = (left / total_width, 1 - (top + height) / total_height, width / total_width, height / total_height)
    axes = figure.add_axes(bounds, facecolor="black")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes
