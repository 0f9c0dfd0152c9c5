"""Colours, signs and type of every picture and chart.

The colours that carry a meaning are those of Okabe and Ito (2008), which people with red or green blindness
distinguish; ``Testing/core/test_colours.py`` measures it. Colour never stands alone: a sign, a word, a marker or a
hatch says the same.
"""

from __future__ import annotations

from ..planning.checks.check import ERROR, OK, WARNING

ORANGE, SKY_BLUE, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"

#: Lines of a chart in their order, each with its own marker; for more than these a chart is hard to read anyway.
SERIES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (VERMILLION, "D"), (PURPLE, "v"), (SKY_BLUE, "P"))

# Both travel with matplotlib, so the picture is the same everywhere.
FONT = "DejaVu Sans"
FIXED_FONT = "DejaVu Sans Mono"
BACKGROUND = "#0e1116"
PANEL = "#161b22"
TEXT = "#e6edf3"
GREY = "#9aa4af"
SIDE_LETTER = "#7fb2ff"
BOX = YELLOW
REFERENCE_LINE = "#ffffff"
REFERENCE_BOX = SKY_BLUE
EXPECTED = PURPLE
OUTLIER = VERMILLION
CORRECTED_MARK = SKY_BLUE
LEVEL_COLOURS = {OK: GREEN, WARNING: ORANGE, ERROR: VERMILLION}
#: They say the level without colour; all in DejaVu Sans.
LEVEL_SIGNS = {OK: "✔", WARNING: "⚠", ERROR: "✖"}
LEVEL_WORDS = {OK: "OK", WARNING: "Warning", ERROR: "Error"}


def confidence_colour(confidence: float) -> tuple[float, float, float]:
    """RGB from orange (0) to green (1)."""
    share = min(max(confidence, 0.0), 1.0)
    red, green, blue = (a + share * (b - a) for a, b in zip(_rgb(ORANGE), _rgb(GREEN), strict=True))
    return red, green, blue


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue
