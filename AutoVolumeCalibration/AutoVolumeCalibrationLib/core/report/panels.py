"""The texts of the overview picture: checks, faces and plan, and below them a card for each vendor's console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..planning.checks.check import OK, WARNING
from ..planning.console.card import ConsoleCard
from .content import (
    angles_text,
    cards_in_order,
    coverage_level,
    face_rows,
    findings,
    landmarks_text,
    margins_text,
    model_text,
    passed,
    points_to_check,
    side_text,
    size_text,
)
from .sheet import Sheet, wrapped
from .style import GREY, LEVEL_COLOURS, LEVEL_SIGNS, TEXT

if TYPE_CHECKING:
    from ..workflow.calibration import Calibration

#: Type in points, height of a line and of a title in pixels, room between text and edge.
_SIZE, _ROW_PX, _TITLE_PX, _PAD_PX = 13.0, 24.5, 36.0, 14.0
_SMALL_SIZE, _SMALL_ROW_PX = 10.5, 19.0
_GAP_PX = 4.0
#: Of the text after a sign.
_INDENT_PX = 24.0
#: Where the second column of a table begins, over the width of the panel.
_VALUES_AT = 0.43
#: Rows of the checks, and of one of them; calibration.json and the report hold all.
_MOST_ROWS, _MOST_LINES = 8, 3


@dataclass(frozen=True)
class Paragraph:
    """Lines of one style below each other, with values in a second column and a sign before the first."""

    lines: Sequence[str]
    values: Sequence[str] = ()
    colour: str = TEXT
    sign: str = ""
    sign_colour: str = TEXT
    small: bool = False

    @property
    def height_px(self) -> float:
        return max(len(self.lines), len(self.values)) * (_SMALL_ROW_PX if self.small else _ROW_PX)


@dataclass(frozen=True)
class Panel:
    """A block of text under a title."""

    title: str
    paragraphs: Sequence[Paragraph] = field(default_factory=tuple)

    @property
    def height_px(self) -> float:
        """In full size."""
        return _TITLE_PX + sum(p.height_px + _GAP_PX for p in self.paragraphs) + _PAD_PX / 2

    @property
    def text(self) -> str:
        """All of it, for a search."""
        parts = (part for p in self.paragraphs for part in (p.sign, *p.lines, *p.values) if part)
        return "\n".join((self.title, *parts))


def plan_panels(calibration: Calibration, width_px: float) -> list[Panel]:
    """Checks, faces and plan, for panels of that width."""
    return [_checks(calibration, width_px), _faces(calibration, width_px), _plan(calibration, width_px)]


def card_panels(calibration: Calibration, width_px: float) -> list[Panel]:
    """A card for each vendor whose form is known, that of the scanner of the scouts first."""
    return [_card(card, width_px) for card in cards_in_order(calibration)]


def draw_panels(
    sheet: Sheet, panels: Sequence[Panel], lefts: Sequence[float], top: float, size: tuple[float, float]
) -> None:
    """Draw panels of one (width, height) beside each other, all set smaller where one of them would not fit."""
    scale = min([1.0, *(size[1] / panel.height_px for panel in panels)])
    for panel, left in zip(panels, lefts, strict=False):
        sheet.plate(left, top, *size)
        _draw_panel(sheet, panel, left, top, size[0], scale)


def _draw_panel(sheet: Sheet, panel: Panel, left: float, top: float, width: float, scale: float) -> None:
    x, y = left + _PAD_PX, top + _TITLE_PX * scale
    sheet.write(x, y - 0.3 * _TITLE_PX * scale, panel.title, _SIZE * scale, colour=GREY, bold=True)
    for p in panel.paragraphs:
        size, row = (_SMALL_SIZE, _SMALL_ROW_PX) if p.small else (_SIZE, _ROW_PX)
        size, row = size * scale, row * scale
        if p.sign:
            sheet.write_lines(x, y, [p.sign], size, row, p.sign_colour)
        sheet.write_lines(x + (_INDENT_PX if p.sign else 0), y, p.lines, size, row, p.colour)
        sheet.write_lines(left + _VALUES_AT * width, y, p.values, size, row)
        y += (p.height_px + _GAP_PX) * scale


def _checks(calibration: Calibration, width_px: float) -> Panel:
    """The findings, worst first, then what passed and what to look at, as far as there is room."""
    paragraphs: list[Paragraph] = []
    room = _MOST_ROWS
    found = findings(calibration)
    for number, check in enumerate(found):
        lines = _shortened(_wrap(check.message, width_px, indented=True), _MOST_LINES)
        more = len(found) - number
        if len(lines) + (more > 1) > room:
            paragraphs.append(Paragraph([f"and {more} more findings, see calibration.json"], colour=GREY))
            return Panel("Checks", paragraphs)
        paragraphs.append(_signed(lines, check.level))
        room -= len(lines)
    good = passed(calibration)
    if good and room:
        text = good[0].message if len(good) == 1 else f"passed: {', '.join(check.name for check in good)}"
        most = min(_MOST_LINES, room) if found else room  # what stands alone is not cut: it states the risk
        lines = _shortened(_wrap(text, width_px, indented=True), most)
        paragraphs.append(_signed(lines, OK))
        room -= len(lines)
    points = [f"{', '.join(group.names)}: {group.reason}" for group in points_to_check(calibration)]
    if points and room >= 2:
        lines = _shortened([line for text in points for line in _wrap(text, width_px)], room - 1)
        paragraphs.append(Paragraph(["Check these points first:", *lines], colour=GREY))
    return Panel("Checks", paragraphs)


def _signed(lines: Sequence[str], level: str) -> Paragraph:
    return Paragraph(lines, sign=LEVEL_SIGNS[level], sign_colour=LEVEL_COLOURS[level])


def _shortened(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]} ..."]


def _faces(calibration: Calibration, width_px: float) -> Panel:
    rows = [
        Paragraph(
            [f"{row.face}, {row.margin_mm:.1f} mm"],
            [row.text],
            sign=LEVEL_SIGNS[OK if row.covered else WARNING],
            sign_colour=LEVEL_COLOURS[OK if row.covered else WARNING],
        )
        for row in face_rows(calibration)
    ]
    margins = margins_text(calibration)
    if margins:
        rows.append(Paragraph(_wrap(margins, width_px, small=True), colour=GREY, small=True))
    # Whom it was measured on stands below, where there is room for it.
    return Panel(f"Faces: margin, reach ({coverage_level(calibration).split(',')[0]})", rows)


def _plan(calibration: Calibration, width_px: float) -> Panel:
    texts = (
        side_text(calibration),
        angles_text(calibration),
        size_text(calibration),
        landmarks_text(calibration),
        model_text(calibration),
    )
    return Panel("Plan, landmarks and model", [Paragraph(_wrap(text, width_px)[:4]) for text in texts if text])


def _card(card: ConsoleCard, width_px: float) -> Panel:
    labels: list[str] = []
    values: list[str] = []
    for line in card.lines:
        pieces = wrapped(line.typed, _SIZE, (1 - _VALUES_AT) * width_px - _PAD_PX) or [""]
        labels += [line.label, *[""] * (len(pieces) - 1)]
        values += pieces
    paragraphs = [Paragraph(labels, values, colour=GREY)]
    for note in card.notes:
        lines = _wrap(note, width_px, small=True, indented=True)
        paragraphs.append(Paragraph(lines, sign=LEVEL_SIGNS[WARNING], sign_colour=LEVEL_COLOURS[WARNING], small=True))
    paragraphs.append(Paragraph(_wrap(f"Evidence: {card.evidence}", width_px, small=True), colour=GREY, small=True))
    return Panel(f"{card.vendor}: {card.title}", paragraphs)


def _wrap(text: str, width_px: float, *, small: bool = False, indented: bool = False) -> list[str]:
    """Lines of the text that fit into a panel of that width."""
    room = width_px - 2 * _PAD_PX - (_INDENT_PX if indented else 0)
    return wrapped(text, _SMALL_SIZE if small else _SIZE, room)
