"""Pictures of the results: errors by condition, flags by condition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from AutoVolumeCalibrationLib.core.files.atomic_write import atomic_path
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.report.style import (
    BACKGROUND,
    BLUE,
    FONT,
    GREEN,
    GREY,
    ORANGE,
    PANEL,
    PURPLE,
    SKY_BLUE,
    TEXT,
    VERMILLION,
    YELLOW,
)
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.evaluation.case_measures import case_measures
from LandmarkTrainingLib.core.evaluation.evaluation_report import WRONG_CENTER_MM, WRONG_ROTATION_DEG, is_wrong

from .report import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 100
#: Width of the picture of the errors, of that of the flags, height of a row, room above and below the rows.
_WIDTH_IN, _FLAGS_WIDTH_IN, _ROW_IN, _AROUND_IN = 15.0, 10.5, 0.24, 1.35
_LABELS_IN, _GAP_IN, _TOP_IN = 2.1, 0.3, 0.65
_SPREAD, _MEDIAN, _LIMIT = SKY_BLUE, TEXT, VERMILLION

#: Measure of ``case_measures`` -> title, range of the axis, limit beyond which a plan is wrong.
_PANELS = {
    "in_plane_mm": ("landmark in its slice, mm", (0.4, 40.0), None),
    "rotation_deg": ("turn of the box, deg", (0.2, 200.0), WRONG_ROTATION_DEG),
    "center_mm": ("centre of the box, mm", (0.2, 200.0), WRONG_CENTER_MM),
    "face_mm": ("worst face of the box, mm", (0.2, 200.0), None),
}


@dataclass(frozen=True)
class Outcome:
    """What became of a case: colour and hatch of its bar, and the test for it."""

    colour: str
    hatch: str
    holds: Callable[[CaseResult], bool]


def _is(level: str, wrong: bool) -> Callable[[CaseResult], bool]:
    return lambda case: case.box is not None and case.level == level and is_wrong(case) == wrong


def _refused(case: CaseResult) -> bool:
    return case.failure is not None


#: Every case that is judged is one of these. What is wrong is hatched, the denser the worse.
OUTCOMES: dict[str, Outcome] = {
    "right, no finding": Outcome(GREEN, "", _is(OK, wrong=False)),
    "right, warning": Outcome(YELLOW, "", _is(WARNING, wrong=False)),
    "right, called error": Outcome(ORANGE, "..", _is(ERROR, wrong=False)),
    "refused": Outcome(TEXT, "", _refused),
    "wrong, called error": Outcome(BLUE, "/", _is(ERROR, wrong=True)),
    "wrong, warning": Outcome(PURPLE, "//", _is(WARNING, wrong=True)),
    "wrong, not flagged": Outcome(VERMILLION, "xxx", _is(OK, wrong=True)),
}

#: The same where there is no head.
FLAGS: dict[str, Outcome] = {
    "refused": Outcome(TEXT, "", _refused),
    "called error": Outcome(GREEN, "", lambda case: case.level == ERROR),
    "only a warning": Outcome(ORANGE, "//", lambda case: case.level == WARNING),
    "not flagged": Outcome(VERMILLION, "xxx", lambda case: case.level == OK),
}


def draw_errors(results: Results, title: str, path: Path) -> None:
    """Every case as a dot on a log scale, a bar from the 5th to the 95th percentile, a stroke at the median.

    Raises:
        UsageError: ``path`` cannot be written.
    """
    figure, height = _figure(len(results), title)
    width = (_WIDTH_IN - _LABELS_IN - len(_PANELS) * _GAP_IN) / len(_PANELS)
    for number, (measure, (label, limits, wrong)) in enumerate(_PANELS.items()):
        left = _LABELS_IN + number * (width + _GAP_IN)
        axes = _axes(figure, left, width, height, list(results), labelled=number == 0)
        axes.set_xscale("log")
        axes.set_xlim(*limits)
        ticks = [t for t in (0.5, 1, 2, 5, 10, 20, 50, 100) if limits[0] <= t <= limits[1]]
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.set_xticks([], minor=True)
        axes.grid(axis="x", color=GREY, alpha=0.25, linewidth=0.6)
        if wrong:
            axes.axvline(wrong, color=_LIMIT, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_title(label, color=TEXT, fontsize=10.5, family=FONT, loc="left")
        for row, cases in enumerate(results.values()):
            _draw_spread(axes, row, [case_measures(case)[measure] for case in cases if case.box], limits)
    legend = "dot: a case   ·   bar: 5th to 95th percentile   ·   stroke: median   ·   dashed: wrong beyond"
    figure.text(_LABELS_IN / _WIDTH_IN, 0.25 / height, legend, color=GREY, fontsize=9, family=FONT)
    _save(figure, path)


def draw_flags(results: Results, flagged: Results, title: str, path: Path) -> None:
    """What became of the cases of each condition, and of what is no head, in shares.

    Raises:
        UsageError: ``path`` cannot be written.
    """
    flagged = {name: cases for name, cases in flagged.items() if cases}
    # The legend of the heads stands beside them, above what is no head and its own legend.
    above = len(OUTCOMES) + 3
    figure, height = _figure(max(len(results), above + len(flagged) + len(FLAGS) + 3), title, _FLAGS_WIDTH_IN)
    width = (_FLAGS_WIDTH_IN - 2 * _LABELS_IN - 2 * _GAP_IN) / 2
    right = 2 * _LABELS_IN + width + _GAP_IN
    _draw_outcomes(figure, (_LABELS_IN, width), (0, results), OUTCOMES, "heads")
    _legend(figure, right, 0, OUTCOMES)
    if flagged:
        _draw_outcomes(figure, (right, width), (above, flagged), FLAGS, "no heads: refuse, or call an error")
        _legend(figure, right, above + len(flagged) + 2, FLAGS)
    _save(figure, path)


def _draw_outcomes(
    figure: Figure,
    column_in: tuple[float, float],
    rows: tuple[int, Results],
    outcomes: Mapping[str, Outcome],
    title: str,
) -> None:
    """A bar for each condition: left edge and width of the column, first row and the cases of each row."""
    (left, width), (first, results) = column_in, rows
    axes = _axes(figure, left, width, figure.get_figheight(), list(results), labelled=True, first_row=first)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.set_title(title, color=TEXT, fontsize=10.5, family=FONT, loc="left")
    for row, cases in enumerate(results.values()):
        _draw_shares(axes, row, cases, outcomes)


def _draw_spread(axes: Axes, row: int, values: Sequence[float], limits: tuple[float, float]) -> None:
    values = np.clip([v for v in values if not np.isnan(v)], limits[0] * 1.05, limits[1] / 1.05)
    if not len(values):
        return
    low, median, high = np.percentile(values, (5, 50, 95))
    axes.plot([low, high], [row, row], color=_SPREAD, linewidth=5, alpha=0.45, solid_capstyle="butt")
    shift = np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else np.zeros(1)
    axes.scatter(values, row + shift, s=6, color=_SPREAD, alpha=0.8, linewidths=0, zorder=3)
    axes.plot([median, median], [row - 0.36, row + 0.36], color=_MEDIAN, linewidth=2, zorder=4)


def _draw_shares(axes: Axes, row: int, cases: Sequence[CaseResult], outcomes: Mapping[str, Outcome]) -> None:
    left = 0.0
    for outcome in outcomes.values():
        count = sum(map(outcome.holds, cases))
        share = count / len(cases)
        axes.barh(row, share, left=left, height=0.72, **_bar(outcome))
        if count:
            # On a hatched bar the number needs a ground of its own.
            ground = {"facecolor": outcome.colour, "edgecolor": "none", "pad": 1.2}
            style = {"color": BACKGROUND, "fontsize": 9, "family": FONT, "ha": "center", "va": "center_baseline"}
            axes.text(left + share / 2, row, str(count), bbox=ground if outcome.hatch else None, **style)
        left += share


def _bar(outcome: Outcome) -> dict[str, Any]:
    return {"facecolor": outcome.colour, "hatch": outcome.hatch, "edgecolor": BACKGROUND, "linewidth": 0.6}


def _legend(figure: Figure, left_in: float, row: int, outcomes: Mapping[str, Outcome]) -> None:
    """The meaning of the bars, from that row on."""
    from matplotlib.patches import Patch

    height = figure.get_figheight()
    figure.legend(
        handles=[Patch(label=name, **_bar(outcome)) for name, outcome in outcomes.items()],
        loc="upper left",
        bbox_to_anchor=(left_in / figure.get_figwidth(), 1 - (_TOP_IN + row * _ROW_IN) / height),
        frameon=False,
        prop={"family": FONT, "size": 9.5},
        labelcolor=TEXT,
        borderaxespad=0,
        borderpad=0,
        labelspacing=0.55,
        handlelength=2.4,
        handleheight=1.1,
    )


def _figure(rows: int, title: str, width_in: float = _WIDTH_IN) -> tuple[Figure, float]:
    """A figure and its height in inches."""
    from matplotlib.figure import Figure

    height = _AROUND_IN + rows * _ROW_IN
    figure = Figure(figsize=(width_in, height), dpi=_DPI, facecolor=BACKGROUND)
    figure.text(0.012, 1 - 0.3 / height, title, color=TEXT, fontsize=13, weight="bold", family=FONT)
    return figure, height


def _axes(
    figure: Figure,
    left_in: float,
    width_in: float,
    height_in: float,
    rows: Sequence[str],
    *,
    labelled: bool,
    first_row: int = 0,
) -> Axes:
    """Axes with a row for each name, the first of them ``first_row`` rows below the top."""
    tall = len(rows) * _ROW_IN
    bottom = height_in - _TOP_IN - first_row * _ROW_IN - tall
    whole_in = figure.get_figwidth()
    axes = figure.add_axes((left_in / whole_in, bottom / height_in, width_in / whole_in, tall / height_in))
    axes.set_facecolor(PANEL)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), rows if labelled else [""] * len(rows))
    axes.tick_params(colors=TEXT, labelsize=9.5, length=0, labelfontfamily=FONT)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _save(figure: Figure, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)
