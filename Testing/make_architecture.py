"""Draws the layers and the rooms of the program into docs/pictures/architecture.svg, from the imports in the code.

Run: ``python Testing/make_architecture.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

import matplotlib  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from structure.test_import_direction import LAYERS, PLANNING, TRAINING  # noqa: E402
from structure.test_rooms import ROOMS, edges  # noqa: E402

PICTURE = ROOT / "docs" / "pictures" / "architecture.svg"
#: What a plan goes through, with the room where it happens.
FLOW = (
    ("scouts", "scouts"),
    ("landmarks", "detection"),
    ("frame", "planning/fit"),
    ("box, checks", "planning"),
    ("prescription", "planning/console"),
)
#: Layer -> place of its box in the drawing, and what it knows.
PLACES = {
    "widgets": (0.02, 0.72, "Slicer's panel (Qt)"),
    "browser": (0.36, 0.72, "a web page"),
    "cli": (0.70, 0.72, "command line"),
    "service": (0.70, 0.40, "batch, DICOM node, page"),
    "mrml": (0.19, 0.40, "Slicer's scene"),
    "core": (0.36, 0.06, "needs no Slicer"),
}
WIDTH, HEIGHT = 0.28, 0.18
COLOUR, PALE, INK = "#00796b", "#e0f2f1", "#222222"


def draw(picture: Path) -> None:
    """Write the drawing; the same code gives the same file."""
    settings = {"svg.hashsalt": "rooms", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(10, 11.6))
        grid = figure.add_gridspec(3, 2, height_ratios=(0.7, 3, 4.6), hspace=0.12, wspace=0.42)
        _flow(figure.add_subplot(grid[0, :]))
        _layers(figure.add_subplot(grid[1, :]))
        for place, package in enumerate((PLANNING, TRAINING)):
            _rooms(figure.add_subplot(grid[2, place]), package)
        figure.savefig(picture, metadata={"Date": None}, bbox_inches="tight", facecolor="white")


def _empty(axes: Axes, title: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1))
    axes.set_title(title, loc="left", fontweight="bold", color=INK)
    axes.axis("off")


def _box(axes: Axes, at: tuple[float, float], size: tuple[float, float], name: str, note: str) -> None:
    axes.add_patch(matplotlib.patches.Rectangle(at, *size, facecolor=PALE, edgecolor=COLOUR, zorder=4))
    middle = at[0] + size[0] / 2
    axes.text(middle, at[1] + 0.64 * size[1], name, ha="center", va="center", fontweight="bold", color=INK, zorder=5)
    axes.text(middle, at[1] + 0.28 * size[1], note, ha="center", va="center", color=INK, zorder=5)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": COLOUR, "shrinkA": 0, "shrinkB": 0})


def _flow(axes: Axes) -> None:
    _empty(axes, "What happens to a study (below: the room of core)")
    step, width = 1 / len(FLOW), 0.155
    for number, (name, room) in enumerate(FLOW):
        _box(axes, (number * step, 0.1), (width, 0.75), name, room)
        if number:
            _arrow(axes, ((number - 1) * step + width, 0.475), (number * step, 0.475))


def _layers(axes: Axes) -> None:
    _empty(axes, "Layers: an arrow leads to what a layer imports; training's layers build on those of planning")
    for name, (x, y, note) in PLACES.items():
        _box(axes, (x, y), (WIDTH, HEIGHT), name, note)
    for name, (x, y, _) in PLACES.items():
        for target in sorted(LAYERS[name] - {name}):
            there_x, there_y, _ = PLACES[target]
            slip = 0.1 * (there_x - x)
            if there_y < y:
                _arrow(axes, (x + WIDTH / 2 + slip, y), (there_x + WIDTH / 2 - slip, there_y + HEIGHT))
            else:
                _arrow(axes, (x, y + HEIGHT / 2), (there_x + WIDTH, there_y + HEIGHT / 2))


def _rooms(axes: Axes, package: str) -> None:
    """A mark for every room (row) that imports another one (column); below the diagonal, as no import leads back."""
    names, graph = ROOMS[package], edges()[package]
    place = {name: number for number, name in enumerate(names)}
    axes.plot([0, len(names) - 1], [0, len(names) - 1], color="#bbbbbb", linewidth=1)
    for name, targets in graph.items():
        for target in targets & place.keys() if name in place else ():
            axes.plot(place[target], place[name], "s", color=COLOUR, markersize=7)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(-0.6, len(names) - 0.4), ylim=(len(names) - 0.4, -0.6), aspect="equal")
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set_title(f"{package}.core", loc="left", fontweight="bold", color=INK)


if __name__ == "__main__":
    draw(PICTURE)
    print(f"{PICTURE} written")
