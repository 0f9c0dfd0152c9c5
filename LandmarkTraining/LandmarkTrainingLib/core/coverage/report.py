"""The measured coverage of the stated uncertainty, as Markdown tables and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import BoxRule
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import LEVEL, Coverage
from AutoVolumeCalibrationLib.core.report.style import SERIES

from ..evaluation.metrics import markdown_table
from .calibration import ANGLES, Covered, Scores, covered_by, covered_when_left_out

#: Nominal levels of the curves.
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975)


def coverage_report(
    real: Scores, simulated: Sequence[Scores], rule: BoxRule, shipped: Coverage, assumed: Coverage
) -> str:
    """Markdown: the factors, and how often they hold.

    Args:
        shipped: the factors that the bundle carries.
        assumed: those of a normal distribution.
    """
    left_out = covered_when_left_out(real, simulated, rule)
    persons = len(set(real.persons.tolist()))
    parts = [("all", np.ones(len(real.scouts), bool))]
    parts += [(name, real.scouts == name) for name in dict.fromkeys(real.scouts.tolist())]
    rows = []
    for name, chosen in parts:
        for title, covered in (("left out", left_out), ("normal distribution", covered_by(real, assumed))):
            rows.append([name, title, int(chosen.sum()), *_shares(covered, chosen)])
    for part in simulated:
        rows.append(["simulated", "shipped", len(part.persons), *_shares(covered_by(part, shipped))])
    header = ["scouts", "factors", "cases", *FACES, "all faces", *ANGLES, "margins, mean mm"]
    factors = [[face, f"{shipped.offset_mm[face]:+.1f}", f"{shipped.factors[face]:.2f}"] for face in FACES]
    factors += [["all faces", "", f"{shipped.joint_factor:.2f}"]]
    factors += [[name, "", f"{f:.2f}"] for name, f in zip(ANGLES, shipped.angle_factors, strict=True)]
    return (
        f"## Share of the cases that 95 % factors cover\n\n{persons} subjects, {len(real.persons)} cases. Left out: "
        "factors measured without the subject of the case; they give the coverage of an unseen subject.\n\n"
        f"{markdown_table(header, rows)}\n\n## Factors shipped\n\n"
        f"{markdown_table(['quantity', 'offset, mm', 'factor on the stated deviation'], factors)}\n"
    )


def _shares(covered: Covered, chosen: np.ndarray | slice = slice(None)) -> list[str]:
    shares = [*covered.faces[chosen].mean(axis=0), covered.joint[chosen].mean(), *covered.angles[chosen].mean(axis=0)]
    margins = covered.margins_mm[chosen].mean(axis=0)
    return [*(f"{share:.1%}" for share in shares), " ".join(f"{margin:.1f}" for margin in margins)]


def draw_coverage(real: Scores, simulated: Sequence[Scores], rule: BoxRule, path: Path) -> None:
    """Curves of measured against nominal coverage, every subject left out in turn; a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    at_levels = [covered_when_left_out(real, simulated, rule, level) for level in LEVELS]
    figure = Figure(figsize=(11, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    curves = (
        ("Each face alone", FACES, lambda covered: covered.faces.mean(axis=0)),
        ("All six faces at once", ("all faces",), lambda covered: [covered.joint.mean()]),
        ("Tilt", ANGLES, lambda covered: covered.angles.mean(axis=0)),
    )
    for axes, (title, names, share) in zip(panels, curves, strict=True):
        values = np.array([share(covered) for covered in at_levels])
        axes.plot([0.5, 1], [0.5, 1], color="0.6", lw=1, ls="--", label="nominal")
        for name, column, (colour, marker) in zip(names, values.T, SERIES, strict=False):
            axes.plot(LEVELS, column, color=colour, marker=marker, ms=5, label=name)
        axes.axvline(LEVEL, color="0.85", lw=6, zorder=0)
        axes.set(title=title, xlabel="nominal share")
        axes.legend(fontsize=8, loc="lower right")
    panels[0].set_ylabel(f"share of {len(real.persons)} cases covered")
    figure.savefig(path, dpi=130)
