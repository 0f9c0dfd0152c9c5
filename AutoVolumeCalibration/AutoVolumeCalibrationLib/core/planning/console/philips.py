"""The Philips card.

Sources:

- Names, units and signs of the fields: parameter lists of ExamCards as public tools read them: "FOV RL (mm)",
  "AP (mm)", "FH (mm)", "Fold-over direction", "Fold-over suppression", "Stack Offc. AP (P=+mm)", "RL (L=+mm)",
  "FH (H=+mm)", "Ang. AP (deg)", "RL (deg)", "FH (deg)".
- Angulation: see ``scanner_conventions.philips_angulation_deg``.
"""

from __future__ import annotations

import math

from ..prescription import Prescription
from .card import CardLine, ConsoleCard
from .field_of_view import FieldOfView

#: Philips' letters of the box axes.
_AXES = {"right": "RL", "anterior": "AP", "superior": "FH"}

#: Slice orientation and the order in which an ExamCard lists its field of view, by slice axis.
_ORIENTATIONS = {"superior": "transverse", "anterior": "coronal", "right": "sagittal"}

_CARD = "ExamCard, geometry"
_OFFSET = "ExamCard, offc/ang: the field's name states the sign"
_ANGLE = "ExamCard, offc/ang; slices of PAR headers with known angulation"
_EVIDENCE = (
    "signs of the offcentres are part of the field names; angulations reproduce the slices of six public PAR headers "
    "(transverse, coronal and sagittal); field names follow ExamCard listings"
)


def philips_card(prescription: Prescription, fov: FieldOfView) -> ConsoleCard:
    """The geometry and offcentre/angulation fields of an ExamCard."""
    p = prescription
    lengths = {
        p.read_axis: f"{fov.read_mm}",
        p.phase_axis: f"{math.ceil(fov.phase_mm - 1e-3)}",
        p.slice_axis: f"{p.slices * p.slice_thickness_mm + (p.slices - 1) * p.gap_mm:g}",
    }
    off_ap, off_fh, off_rl = (f"{value + 0.0:.1f}" for value in p.philips_offcentre_mm)
    ap, fh, rl = (f"{value + 0.0:.1f}" for value in p.philips_angulation_deg)
    lines = (
        *(CardLine(f"FOV {_AXES[axis]}", lengths[axis], "mm", _CARD) for axis in ("anterior", "right", "superior")),
        CardLine("Slices", str(p.slices), "", _CARD),
        CardLine("Slice thickness", f"{p.slice_thickness_mm:g}", "mm", _CARD),
        CardLine("Slice gap", f"{p.gap_mm:g}", "mm", f"{_CARD}: user defined"),
        CardLine("Slice orientation", _ORIENTATIONS[p.slice_axis], "", _CARD),
        CardLine("Fold-over direction", _AXES[p.phase_axis], "", _CARD),
        CardLine("Fold-over suppression", _suppression(fov), "", f"{_CARD}: oversampling at each end"),
        CardLine("Stack Offc. AP (P=+)", off_ap, "mm", _OFFSET),
        CardLine("Stack Offc. RL (L=+)", off_rl, "mm", _OFFSET),
        CardLine("Stack Offc. FH (H=+)", off_fh, "mm", _OFFSET),
        CardLine("Ang. AP", ap, "deg", _ANGLE),
        CardLine("Ang. RL", rl, "deg", _ANGLE),
        CardLine("Ang. FH", fh, "deg", _ANGLE),
    )
    return ConsoleCard("Philips", "ExamCard geometry", lines, _EVIDENCE, fov.notes)


def _suppression(fov: FieldOfView) -> str:
    if fov.beyond_mm is None:
        return "check"
    return f"oversampling {math.ceil(fov.beyond_mm)} mm at each end" if fov.beyond_mm > 0 else "no"
