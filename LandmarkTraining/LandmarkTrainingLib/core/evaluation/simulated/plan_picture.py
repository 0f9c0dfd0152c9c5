"""A plan in one small picture: three slices, the box that was planned and the one that should have been."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from AutoVolumeCalibrationLib.core.files.atomic_write import atomic_path
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.report.content import worst_level
from AutoVolumeCalibrationLib.core.report.slices import draw_box, draw_image, draw_landmarks, section_in_picture
from AutoVolumeCalibrationLib.core.report.style import (
    BACKGROUND,
    BOX,
    FONT,
    GREY,
    LEVEL_COLOURS,
    LEVEL_SIGNS,
    REFERENCE_BOX,
    TEXT,
)
from AutoVolumeCalibrationLib.core.report.views import nearest_slice, view_slice, window
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 100
#: Pixels: the planes' squares, the room around them, the title's lines above and the legend below.
_PLANE_PX, _GAP_PX, _TITLE_PX, _LEGEND_PX = 356, 8, 108, 32
_SIZE_PX = (3 * _PLANE_PX + 4 * _GAP_PX, _TITLE_PX + _PLANE_PX + _LEGEND_PX)
#: Half the side of what is shown, about the reference box's centre: a head and the box around it.
HALF_MM = 125.0
_FINDINGS_WIDTH = 138
#: Colours kept in the file: noise hardly compresses otherwise. An octree keeps the few pixels of the lines in theirs.
_COLOURS = 128
_TRUE_POINT: dict[str, Any] = {
    "marker": "o",
    "markersize": 8,
    "markerfacecolor": "none",
    "markeredgewidth": 1.4,
    "markeredgecolor": REFERENCE_BOX,
}


@dataclass(frozen=True, eq=False)
class Reference:
    """What a plan is compared with.

    Attributes:
        box: that should have been planned; drawn dashed. label: what it is, for the legend.
        points_mm: name -> (3,) RAS of the true landmarks; empty: they are not drawn.
        half_mm: half the side of what is shown.
    """

    box: OrientedBox
    label: str
    points_mm: Mapping[str, np.ndarray] = field(default_factory=dict)
    half_mm: float = HALF_MM


def draw_plan(plan: Calibration, reference: Reference, title: str, error: str, path: Path, *, wrong: bool) -> None:
    """Write the PNG: per plane the slice nearest to the reference's centre, both boxes' outlines, the landmarks.

    Args:
        title: which case it is, or what was done to the study.
        error: how far the plan is off, in words.
        wrong: whether that is too far; then the heading is never green, whatever the checks say.

    Raises:
        UsageError: ``path`` cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIZE_PX[0] / _DPI, _SIZE_PX[1] / _DPI), dpi=_DPI, facecolor=BACKGROUND)
    for number, plane in enumerate(PLANES):
        axes = _plane_axes(figure, number)
        found = nearest_slice(plan.stacks, plane, reference.box.center_mm)
        if found is None:
            axes.text(0.5, 0.5, f"no {plane} scout", color=GREY, family=FONT, ha="center", transform=axes.transAxes)
            continue
        _draw_plane(axes, plan, reference, *found)
    level, verdict = judged(worst_level(plan), wrong)
    _write(figure, 22, f"{title}: {error}", size=12)
    _write(figure, 50, f"{LEVEL_SIGNS[level]} {verdict}", size=14, weight="bold", color=LEVEL_COLOURS[level])
    messages = " ".join(check.message for check in plan.checks if check.level != OK)
    for row, line in enumerate(textwrap.wrap(messages, _FINDINGS_WIDTH, max_lines=2, placeholder=" ...")):
        _write(figure, 76 + 19 * row, line, size=10, color=GREY)
    _draw_legend(figure, reference)
    _save(figure, path)


def judged(level: str, wrong: bool) -> tuple[str, str]:
    """Level and words of the heading, from the worst check and from the truth: the worse of both counts."""
    if wrong:
        flags = {OK: "and no check says so", WARNING: "flagged as a warning", ERROR: "called an error"}
        return ERROR, f"Wrong, {flags[level]}"
    flags = {OK: "no finding", WARNING: "with a warning", ERROR: "but called an error"}
    return level, f"Right, {flags[level]}"


def _draw_plane(axes: Axes, plan: Calibration, reference: Reference, stack: ScoutStack, index: int) -> None:
    view = view_slice(stack, index)
    draw_image(axes, view, window([s.pixels for s in stack.slices]))
    middle, half_mm = view.to_picture(reference.box.center_mm), reference.half_mm
    axes.set_xlim(middle[0] - half_mm, middle[0] + half_mm)
    axes.set_ylim(middle[1] - half_mm, middle[1] + half_mm)
    draw_box(axes, view, plan.box)
    outline = section_in_picture(view, reference.box)
    if len(outline):
        axes.plot(*np.vstack([outline, outline[:1]]).T, color=REFERENCE_BOX, linewidth=1.4, linestyle=(0, (4, 3)))
    near = [point for point in reference.points_mm.values() if abs(view.distance_mm(point)) <= view.reach_mm]
    if near:
        axes.plot(*view.to_picture(np.array(near)).T, linestyle="none", **_TRUE_POINT)
    draw_landmarks(axes, view, plan, mm_per_point=2 * half_mm / (_PLANE_PX * 72 / _DPI), size=9.5)
    caption = f"{stack.plane} {index + 1} of {len(stack.slices)}"
    ground = {"facecolor": BACKGROUND, "edgecolor": "none", "pad": 2}
    style: dict[str, Any] = {"color": GREY, "fontsize": 10, "family": FONT, "va": "top", "bbox": ground}
    axes.text(0.02, 0.98, caption, transform=axes.transAxes, **style)


def _plane_axes(figure: Figure, number: int) -> Axes:
    left = _GAP_PX + number * (_PLANE_PX + _GAP_PX)
    width, height = _SIZE_PX
    axes = figure.add_axes(
        (left / width, _LEGEND_PX / height, _PLANE_PX / width, _PLANE_PX / height), facecolor="black"
    )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes


def _write(figure: Figure, top_px: float, text: str, **options: Any) -> None:
    style = {"color": TEXT, "family": FONT, "va": "center_baseline"} | options
    figure.text(_GAP_PX / _SIZE_PX[0], 1 - top_px / _SIZE_PX[1], text, **style)


def _draw_legend(figure: Figure, reference: Reference) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=BOX, linewidth=1.4, label="planned on these scouts (band: 2 sd)"),
        Line2D(
            [],
            [],
            color=REFERENCE_BOX,
            linewidth=1.4,
            linestyle=(0, (4, 3)),
            label=reference.label,
        ),
    ]
    if reference.points_mm:
        lines.append(Line2D([], [], linestyle="none", label="true landmark", **_TRUE_POINT))
    prop = {"family": FONT, "size": 10}
    figure.legend(
        handles=lines, loc="lower left", ncols=3, frameon=False, prop=prop, labelcolor=TEXT, borderaxespad=0.3
    )


def _save(figure: Figure, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    with atomic_path(path) as temporary:
        reduced = picture.quantize(_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        reduced.save(temporary, optimize=True)
