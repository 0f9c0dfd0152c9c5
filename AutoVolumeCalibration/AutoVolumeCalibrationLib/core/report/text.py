"""The console cards of a plan as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..planning.console.card import card_summary, card_text
from ..planning.console.cards import console_cards

if TYPE_CHECKING:
    from ..workflow.calibration import Calibration


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
