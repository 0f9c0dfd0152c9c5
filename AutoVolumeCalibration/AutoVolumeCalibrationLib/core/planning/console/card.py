"""A console card: what a technologist types or compares at one vendor's console, line by line."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

#: Characters of the column of labels in ``card_text``.
_LABEL_WIDTH = 24

#: Characters of a line of ``card_summary``.
_SUMMARY_WIDTH = 100


@dataclass(frozen=True)
class CardLine:
    """One field of a form.

    Attributes:
        label: the vendor's own name of the field.
        value: as it is typed.
        unit: of ``value``; empty where the value carries it or has none.
        source: where the field's name, unit and sign come from.
    """

    label: str
    value: str
    unit: str
    source: str

    @property
    def typed(self) -> str:
        """Value and unit."""
        return f"{self.value} {self.unit}".strip()


@dataclass(frozen=True)
class ConsoleCard:
    """The fields of one vendor's form, in its order.

    Attributes:
        vendor: "Siemens", "GE" or "Philips".
        title: the form that the fields belong to.
        lines: the fields.
        evidence: what the signs and words were checked against; says so where nothing of a scanner was found.
        notes: what the user should know before typing: widened fields, anatomy that folds in.
    """

    vendor: str
    title: str
    lines: tuple[CardLine, ...]
    evidence: str
    notes: tuple[str, ...] = ()


def card_text(card: ConsoleCard) -> str:
    """The card as plain text: a title, a line for each field, the notes, the evidence."""
    rows = [f"{card.vendor}: {card.title}"]
    rows += [f"  {line.label:<{_LABEL_WIDTH}}{line.typed}" for line in card.lines]
    rows += [f"  Note: {note}" for note in card.notes]
    return "\n".join([*rows, f"  Evidence: {card.evidence}"])


def card_summary(card: ConsoleCard) -> str:
    """Fields and evidence in few lines, for a scanner that is probably not the user's; without the notes."""
    fields = "; ".join(f"{line.label} {line.typed}" for line in card.lines)
    rows = [f"{card.vendor}: {fields}", f"  Evidence: {card.evidence}"]
    return "\n".join(textwrap.fill(row, _SUMMARY_WIDTH, subsequent_indent="    ") for row in rows)


def card_to_dict(card: ConsoleCard) -> dict[str, Any]:
    """The card as JSON stores it; ``card_from_dict`` is the inverse."""
    return {**asdict(card), "lines": [asdict(line) for line in card.lines], "notes": list(card.notes)}


def card_from_dict(data: Mapping[str, Any]) -> ConsoleCard:
    """The card that ``card_to_dict`` wrote."""
    lines: Sequence[Mapping[str, str]] = data["lines"]
    return ConsoleCard(
        data["vendor"],
        data["title"],
        tuple(CardLine(**line) for line in lines),
        data["evidence"],
        tuple(data["notes"]),
    )
