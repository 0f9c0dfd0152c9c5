"""The cards of a plan, one for each vendor whose form has public evidence.

United Imaging and Canon are left out: no public description of their forms' fields, signs and order was found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...anatomy.protocol import BOX_AXES
from ..outline import visible_outline
from ..side_in_words import side_in_words
from .card import ConsoleCard
from .field_of_view import field_of_view
from .ge import ge_card
from .philips import philips_card
from .siemens import siemens_card

if TYPE_CHECKING:
    from ...workflow.calibration import Calibration

_FORMS = (siemens_card, ge_card, philips_card)


def console_cards(calibration: Calibration) -> tuple[ConsoleCard, ...]:
    """The cards of Siemens, GE and Philips for the box of ``calibration``; what folds in comes from its scouts."""
    prescription = calibration.prescription
    phase, read = BOX_AXES.index(prescription.phase_axis), BOX_AXES.index(prescription.read_axis)
    outline = visible_outline(calibration.stacks, calibration.box, phase, read)
    fov = field_of_view(prescription, outline)
    side = side_in_words(calibration.frame, calibration.protocol.anatomy).partition(" (")[0]
    return tuple(_of_side(form(prescription, fov), side) for form in _FORMS)


def _of_side(card: ConsoleCard, side: str) -> ConsoleCard:
    """The card of a limb says which one it is for: no form has a field for that beside the slices."""
    return replace(card, title=f"{card.title}, {side}") if side else card
