"""The cards of a plan, one for each vendor whose form has public evidence.

United Imaging and Canon are left out: no public description of their forms' fields, signs and order was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...anatomy.protocol import BOX_AXES
from ..outline import visible_outline
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
    return tuple(form(prescription, fov) for form in _FORMS)
