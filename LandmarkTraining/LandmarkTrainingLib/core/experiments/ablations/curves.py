"""Learning curves of a comparison as a picture: error on the simulated validation slices against multiply-adds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.files.atomic_write import atomic_path
from AutoVolumeCalibrationLib.core.report import style

from ...runs.run_folder import LOG_FILE
from ...runs.run_watch import ERROR, STEP, number

#: Colours that differ with any colour vision, and what differs beyond them.
COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE, style.ORANGE, style.SKY_BLUE, "black")
LINES = ("-", "--", ":")

#: Panels per row, and the size of one in inches.
_ACROSS, _WIDTH, _HEIGHT = 2, 6.2, 3.4

#: (multiply-adds in 10^12, median error in mm) of each checkpoint.
Curve = tuple[np.ndarray, np.ndarray]


def read_curve(run: Path, per_step: float) -> Curve:
    """The curve of a run from its log; empty where it has none."""
    path = run / LOG_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    points = [(row[STEP] * per_step / 1e12, error) for row in rows if (error := number(row, ERROR)) is not None]
    tera, errors = np.array(points, dtype=float).reshape(-1, 2).T
    return tera, errors


def curves_picture(panels: Mapping[str, Sequence[str]], curves: Mapping[str, Sequence[Curve]], path: Path) -> None:
    """One panel for each question; a line for each training, one colour and line style for each variant.

    Args:
        panels: title -> variants shown in it.
        curves: variant -> the curves of its trainings.
        path: PNG.

    Raises:
        UsageError: ``path`` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    across = min(_ACROSS, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(_WIDTH * across, _HEIGHT * down), dpi=100, layout="constrained")
    for place, (title, names) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        for index, name in enumerate(names):
            color, line = COLOURS[index % len(COLOURS)], LINES[index // len(COLOURS) % len(LINES)]
            for training, (tera, errors) in enumerate(curves[name]):
                axes.plot(tera, errors, line, color=color, linewidth=1.2, label=None if training else name)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="multiply-adds of the training, $10^{12}$", ylabel="median error, mm", title=title)
        axes.grid(alpha=0.3, which="both")
        # Beside the panel: inside it hides the lines of what learns slowly.
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)
