"""The Siemens card.

Sources:

- Names, units and order of the fields: the Routine card of protocol print-outs as public tools read them: slice group
  with Slices, Dist. factor ("slice gap, as a percentage of slice thickness"), Position, Orientation, Phase enc. dir.;
  then Phase oversampling, FoV read, FoV phase, Slice thickness.
- Position "L93.1": element (0051,100D), "SP L93.1" where SliceLocation is 93.1 (L, P, H letters, mm).
- Orientation: element (0051,100E), see ``scanner_conventions.siemens_oblique_text``.
- Rotation: the Inplane Rotation window behind the "..." of Phase enc. dir., -180 to 180 degrees, 0 for A >> P in
  transverse slices; ``scanner_conventions.siemens_in_plane_deg``.
- Phase oversampling: sKSpace.dPhaseOversamplingForDialog of 0.2 is printed as 20 %; FoV phase is
  asSlice[0].dPhaseFOV over dReadoutFOV.
- What the vendors call phase oversampling: mriquestions.com, "Phase oversampling".
"""

from __future__ import annotations

import math

from ..prescription import Prescription
from .card import CardLine, ConsoleCard
from .field_of_view import FieldOfView
from .sides import sides

_PRINT_OUT = "protocol print-out, Routine card"
_EVIDENCE = (
    "orientation signs reproduce nine texts of public headers (transverse, coronal and sagittal), the rotation that of "
    "a spectroscopy header; field names follow protocol print-outs"
)


def siemens_card(prescription: Prescription, fov: FieldOfView) -> ConsoleCard:
    """The Routine card of syngo MR: slices, pose and field of view."""
    p = prescription
    oversampling = "check" if fov.oversampling_percent is None else str(fov.oversampling_percent)
    phase_percent = math.ceil(1000 * fov.phase_fraction - 1e-6) / 10
    lines = (
        CardLine("Slices", str(p.slices), "", _PRINT_OUT),
        CardLine("Dist. factor", f"{100 * p.gap_mm / p.slice_thickness_mm:.0f}", "%", f"{_PRINT_OUT}: gap / thickness"),
        CardLine("Position", " ".join(sides(p.center_mm, "LPH")), "mm", "(0051,100D): letter, then mm"),
        CardLine("Orientation", p.orientation_text, "", "(0051,100E)"),
        CardLine("Phase enc. dir.", p.phase_direction, "", _PRINT_OUT),
        CardLine("Rotation", f"{p.in_plane_deg:.1f}", "deg", "window behind Phase enc. dir."),
        CardLine("Phase oversampling", oversampling, "%", _PRINT_OUT),
        CardLine("FoV read", str(fov.read_mm), "mm", _PRINT_OUT),
        CardLine("FoV phase", f"{phase_percent:.1f}", "%", f"{_PRINT_OUT}: of FoV read"),
        CardLine("Slice thickness", f"{p.slice_thickness_mm:g}", "mm", _PRINT_OUT),
    )
    return ConsoleCard("Siemens", "Routine card", lines, _EVIDENCE, fov.notes)
