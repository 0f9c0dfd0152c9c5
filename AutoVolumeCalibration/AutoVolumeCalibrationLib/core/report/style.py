"""Colours and type of the overview picture."""

from __future__ import annotations

from ..planning.checks import ERROR, OK, WARNING

# Both travel with matplotlib, so the picture is the same everywhere.
FONT = "DejaVu Sans"
FIXED_FONT = "DejaVu Sans Mono"
BACKGROUND = "#0e1116"
PANEL = "#161b22"
TEXT = "#e6edf3"
GREY = "#9aa4af"
SIDE_LETTER = "#7fb2ff"
BOX = "#ffd23f"
EXPECTED = "#c8a2ff"
OUTLIER = "#ff5a5f"
CORRECTED_MARK = "#4cc9f0"
LEVEL_COLOURS = {OK: "#3fb950", WARNING: "#f0a020", ERROR: "#ff5a5f"}

_UNSURE, _SURE = (0.94, 0.63, 0.13), (0.25, 0.86, 0.42)


def confidence_colour(confidence: float) -> tuple[float, float, float]:
    """RGB from amber (0) to green (1)."""
    share = min(max(confidence, 0.0), 1.0)
    red, green, blue = (a + share * (b - a) for a, b in zip(_UNSURE, _SURE, strict=True))
    return red, green, blue
