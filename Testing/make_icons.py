"""Draw the icons: a head seen from the left with a tilted box, or with landmarks and a learning curve.

Run it to redraw them all: ``python Testing/make_icons.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Outline
from scipy.interpolate import CubicSpline

ROOT = Path(__file__).resolve().parents[1]
SIZE_PX = 128
BACKGROUND, HEAD, BRAIN, BOX, POINT = "#123047", "#f2efe9", "#c9d6df", "#ffb703", "#e4572e"

#: A head's profile facing left, clockwise from the back of the neck; the unit is the icon's side.
PROFILE = np.array(
    [
        [0.72, 0.06], [0.73, 0.22], [0.84, 0.38], [0.87, 0.58], [0.78, 0.79], [0.58, 0.90], [0.36, 0.86],
        [0.22, 0.72], [0.19, 0.57], [0.13, 0.44], [0.20, 0.40], [0.19, 0.31], [0.23, 0.21], [0.36, 0.18], [0.42, 0.06],
    ]
)  # fmt: skip
BRAIN_OUTLINE = np.array(
    [[0.30, 0.56], [0.36, 0.74], [0.55, 0.81], [0.72, 0.74], [0.79, 0.58], [0.72, 0.43], [0.58, 0.42], [0.42, 0.46]]
)


def smooth(points: np.ndarray, closed: bool) -> np.ndarray:
    """A spline (200, 2) through ``points`` (n, 2)."""
    knots = np.vstack([points, points[:1]]) if closed else points
    t = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    spline = CubicSpline(t, knots, bc_type="periodic" if closed else "natural")
    return spline(np.linspace(0, t[-1], 200))


def fill(axes: Axes, points: np.ndarray, colour: str, **options: object) -> None:
    """A filled shape."""
    axes.add_patch(PathPatch(Outline(points), facecolor=colour, edgecolor="none", **options))


def head(axes: Axes) -> None:
    """The head with its brain on a rounded tile."""
    tile = FancyBboxPatch((0.04, 0.04), 0.92, 0.92, boxstyle="round,pad=0,rounding_size=0.16", color=BACKGROUND)
    axes.add_patch(tile)
    fill(axes, smooth(PROFILE, closed=False), HEAD, clip_path=tile)
    fill(axes, smooth(BRAIN_OUTLINE, closed=True), BRAIN)


def tilted_box(axes: Axes) -> None:
    """The scan box around the brain, with some of its slices."""
    angle = np.deg2rad(-14)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle, half = np.array([0.545, 0.60]), np.array([0.32, 0.25])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * half @ turn.T + middle
    axes.plot(*corners.T, color=BOX, linewidth=2.5, solid_joinstyle="miter")
    for level in (-0.5, 0.0, 0.5):
        line = np.array([[-half[0], level * half[1]], [half[0], level * half[1]]]) @ turn.T + middle
        axes.plot(*line.T, color=BOX, linewidth=1.2, alpha=0.9)


def landmarks_and_curve(axes: Axes) -> None:
    """Landmarks in the brain and a falling loss."""
    points = np.array([[0.42, 0.62], [0.55, 0.56], [0.68, 0.60], [0.55, 0.72], [0.64, 0.48]])
    axes.scatter(*points.T, s=34, color=POINT, edgecolor="white", linewidth=1.0, zorder=3)
    x = np.linspace(0.12, 0.88, 60)
    axes.plot(x, 0.10 + 0.20 * np.exp(-(x - 0.12) / 0.18), color=BOX, linewidth=2.6, solid_capstyle="round", zorder=4)


def write_icon(path: Path, *drawings: Callable[[Axes], None]) -> None:
    """Draw on a transparent square and save it as PNG."""
    figure = Figure(figsize=(1, 1), dpi=SIZE_PX)
    canvas = FigureCanvasAgg(figure)
    figure.patch.set_alpha(0.0)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.axis((0, 1, 0, 1))
    for draw in drawings:
        draw(axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.print_png(path, metadata={"Software": None})


def main() -> None:
    """Write the extension's icon and the two modules'."""
    write_icon(ROOT / "Resources/Icons/AutoVolumeCalibration.png", head, tilted_box)
    write_icon(ROOT / "AutoVolumeCalibration/Resources/Icons/AutoVolumeCalibration.png", head, tilted_box)
    write_icon(ROOT / "LandmarkTraining/Resources/Icons/LandmarkTraining.png", head, landmarks_and_curve)


if __name__ == "__main__":
    main()
