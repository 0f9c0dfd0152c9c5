"""The text panel of the overview picture, as lines with their style."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import CORRECTED, MISSING
from ..geometry.coordinates import rotation_angles_deg
from ..geometry.oriented_box import FACES
from ..planning.checks import ERROR, OK, WARNING
from ..planning.console.card import card_summary, card_text
from ..planning.console.cards import console_cards
from ..planning.margins import plan_coverage, proposed_margins_mm
from .style import GREY, LEVEL_COLOURS, TEXT

if TYPE_CHECKING:
    from ..workflow.calibration import Calibration

#: Characters that fit in the panel's width, in the usual type and in that of fixed width.
_WIDTH = 66
_FIXED_WIDTH = 70
#: Findings printed in full; calibration.json holds all.
_MOST_FINDINGS = 7

_VERDICTS = {OK: "Planned", WARNING: "Planned, please review the warnings", ERROR: "Do not use without review"}


@dataclass(frozen=True)
class Line:
    """A line of the panel.

    Attributes:
        size: in points.
        fixed: in type of fixed width, for columns.
        bullet: colour of a dot before it, "none" to indent alike without one.
        space: lines of room above it.
    """

    text: str
    size: float = 9.5
    colour: str = TEXT
    bold: bool = False
    fixed: bool = False
    bullet: str | None = None
    space: float = 0.0


def panel_lines(calibration: Calibration) -> list[Line]:
    """All lines of the panel, top to bottom."""
    return [
        *_verdict(calibration),
        *_section("Frame against the scanner axes", _frame(calibration)),
        *_section(f"Box {calibration.box.name}", _box(calibration)),
        *_prescription(calibration),
        *_section("Landmarks and model", _provenance(calibration)),
    ]


def cards_text(calibration: Calibration, manufacturer: str = "") -> str:
    """The console cards as plain text: that of the scanner line by line and first, the others in short.

    The notes, which are the same for all, are given once.

    Args:
        manufacturer: as DICOM states it; empty where it is not known.
    """
    words = manufacturer.lower().split()
    cards = sorted(console_cards(calibration), key=lambda card: card.vendor.lower() not in words)
    texts = [card_text(card) if card.vendor.lower() in words else card_summary(card) for card in cards]
    if cards[0].vendor.lower() not in words:
        texts += [f"Note: {note}" for note in cards[0].notes]
    return "\n\n".join(texts)


def worst_level(calibration: Calibration) -> str:
    """The worst level among the checks; "ok" without any."""
    levels = {check.level for check in calibration.checks}
    return next((level for level in (ERROR, WARNING) if level in levels), OK)


def _verdict(calibration: Calibration) -> list[Line]:
    level = worst_level(calibration)
    lines = [Line(_VERDICTS[level], size=14, colour=LEVEL_COLOURS[level], bold=True)]
    findings = sorted((c for c in calibration.checks if c.level != OK), key=lambda check: check.level != ERROR)
    for check in findings[:_MOST_FINDINGS]:
        first, *rest = textwrap.wrap(f"{check.name}: {check.message}", _WIDTH - 3) or [check.name]
        lines.append(Line(first, bullet=LEVEL_COLOURS[check.level], space=0.25))
        lines += [Line(text, bullet="none") for text in rest]
    if len(findings) > _MOST_FINDINGS:
        lines.append(Line(f"and {len(findings) - _MOST_FINDINGS} more findings", colour=GREY, bullet="none"))
    passed = [check.name for check in calibration.checks if check.level == OK]
    if passed:
        wrapped = textwrap.wrap(f"passed: {', '.join(passed)}", _WIDTH - 3)
        lines.append(Line(wrapped[0], colour=GREY, bullet=LEVEL_COLOURS[OK], space=0.25))
        lines += [Line(text, colour=GREY, bullet="none") for text in wrapped[1:]]
    return lines


def _section(title: str, rows: list[str]) -> list[Line]:
    return [Line(title, size=10, colour=GREY, bold=True, space=0.8), *(Line(row) for row in rows)]


def _frame(calibration: Calibration) -> list[str]:
    frame = calibration.frame
    angles = rotation_angles_deg(np.eye(3), frame.axes)
    most = plan_coverage(calibration).angles_deg(frame.covariance)
    rotation = [
        f"{name} {a:+.1f} ± {m:.1f}°" for name, a, m in zip(("pitch", "roll", "yaw"), angles, most, strict=True)
    ]
    where = f"origin {_side_text(frame.origin_mm)} mm   size {100 * frame.scale:.0f} % of typical"
    return ["   ".join(rotation) + "   (95 %)", where]


def _box(calibration: Calibration) -> list[str]:
    box = calibration.box
    size = " × ".join(f"{edge:.0f}" for edge in box.size_mm)
    rows = [f"size {size} mm (right-left × front-back × head-foot)"]
    margins = proposed_margins_mm(calibration)
    safe = [f"{face}\N{NO-BREAK SPACE}{margins[face]:g}" for face in FACES if face in margins]
    text = f"margins, mm, for 95 % of heads fully inside: {', '.join(safe)}"
    return rows + textwrap.wrap(text, _WIDTH) if safe else rows


def _side_text(point_mm: np.ndarray) -> str:
    """A RAS point with the side of each coordinate: "R 1.2  A 3.4  S 5.6"."""
    sides = (("L", "R"), ("P", "A"), ("I", "S"))
    return "  ".join(f"{names[int(value >= 0)]} {abs(value):.1f}" for names, value in zip(sides, point_mm, strict=True))


def _provenance(calibration: Calibration) -> list[str]:
    landmarks = calibration.landmarks
    missing = [landmark.name for landmark in landmarks if landmark.status == MISSING]
    corrected = sum(landmark.status == CORRECTED for landmark in landmarks)
    found = f"{len(landmarks) - len(missing)} of {len(landmarks)} found"
    rows = [f"{found}, {corrected} corrected" if corrected else found]
    for title, names in (("missing", missing), ("contradict the others", calibration.frame.outliers)):
        if names:
            rows += textwrap.wrap(f"{title}: {', '.join(names)}", _WIDTH, max_lines=2, placeholder=" ...")
    model = calibration.model
    made = [f"model {model.name} on {model.device}" if model else "no model, landmarks given"]
    if "total" in calibration.timings_s:
        made.append(f"{calibration.timings_s['total']:.1f} s")
    return rows + textwrap.wrap(", ".join(made), _WIDTH)


def _prescription(calibration: Calibration) -> list[Line]:
    """What is typed at the scanner: names and values in two columns."""
    title, *_ = _section("Prescription", [])
    rows = calibration.prescription.to_text().splitlines()
    wrapped = (textwrap.wrap(row, _FIXED_WIDTH, subsequent_indent=" " * 16) for row in rows)
    return [title, *(Line(piece, size=8.2, fixed=True) for pieces in wrapped for piece in pieces)]
