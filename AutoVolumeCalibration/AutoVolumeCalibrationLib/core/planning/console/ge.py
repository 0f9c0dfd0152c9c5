"""The GE card.

Sources:

- Slice Thickness, Spacing, Start and End as "S120" and "I120", Freq. Dir as "L/R": the main prescription page in the
  public instructions of TOPPE (toppeMRI, GE software DV26); contiguous slices have Spacing 0, so it is the gap.
- FOV in cm, Phase FOV as a fraction: common GE protocol sheets; elements (0018,1100) in mm, (0018,0094) in per cent.
- No Phase Wrap: mriquestions.com, "Phase oversampling"; NPW in element (0018,0022).
- Locations: (0019,1018) to (0019,101B), "First scan ras/location" (S) and "Last scan ras/location" (I), and
  (0027,1040) and (0027,1041), letter and position of one image. In a public header of an oblique axial series "I"
  with -4.845 is the S/I coordinate of the middle of the image, S positive; likewise R and A.
"""

from __future__ import annotations

import math

import numpy as np

from ...geometry.coordinates import swap_ras_lps
from ..prescription import Prescription
from .card import CardLine, ConsoleCard
from .field_of_view import FieldOfView
from .sides import sides

#: Scan plane by base orientation.
_PLANES = {"transverse": "Axial", "coronal": "Coronal", "sagittal": "Sagittal"}

#: A plane that is tilted more than this is oblique, degrees.
_OBLIQUE_DEG = 0.05

_PAGE = "prescription page of DV26 (TOPPE instructions)"
_SHEET = "GE protocol sheets"
_EVIDENCE = (
    "location letters reproduce a public header of an oblique series; field names follow one public instruction: their "
    "order on other releases, and how an oblique plane is typed, are not confirmed on a console"
)


def ge_card(prescription: Prescription, fov: FieldOfView) -> ConsoleCard:
    """Plane, field of view and the centres of the first and last slice."""
    p = prescription
    first, last = slice_centers_mm(p)
    middle, start, end = (" ".join(sides(swap_ras_lps(point), "RAS")) for point in (p.center_mm, first, last))
    fraction = math.ceil(100 * fov.phase_fraction - 1e-6) / 100
    wrap = "check" if fov.beyond_mm is None else "on" if fov.beyond_mm > 0 else "off"
    lines = (
        CardLine("Scan Plane", _plane(p), "", "(0027,1035): axial, sagittal, coronal or oblique"),
        CardLine("FOV", f"{fov.read_mm / 10:.1f}", "cm", f"{_SHEET}; (0018,1100) in mm"),
        CardLine("Slice Thickness", f"{p.slice_thickness_mm:g}", "mm", f"{_PAGE}; (0018,0050)"),
        CardLine("Spacing", f"{p.gap_mm:g}", "mm", f"{_PAGE}: gap from edge to edge"),
        CardLine("# Slices", str(p.slices), "", _SHEET),
        CardLine("Center", middle, "mm", "RAS letters as in (0027,1040)"),
        CardLine("Start (slice center)", start, "mm", f"{_PAGE}; (0019,1018) and (0019,1019)"),
        CardLine("End (slice center)", end, "mm", f"{_PAGE}; (0019,101A) and (0019,101B)"),
        CardLine("Freq. Dir", _frequency_direction(p), "", f"{_PAGE}; (0018,1312) is the phase direction"),
        CardLine("Phase FOV", f"{fraction:.2f}", "", f"{_SHEET}; (0018,0094) in per cent"),
        CardLine("No Phase Wrap", wrap, "", "mriquestions.com; NPW in (0018,0022)"),
    )
    return ConsoleCard("GE", "scan parameters", lines, _EVIDENCE, fov.notes)


def slice_centers_mm(prescription: Prescription) -> tuple[np.ndarray, np.ndarray]:
    """(3,) LPS middle of the first and of the last slice: from S to I, from R to L, or from A to P."""
    p = prescription
    reach = (p.slices - 1) / 2 * (p.slice_thickness_mm + p.gap_mm)
    center, normal = np.array(p.center_mm), np.array(p.normal)
    if p.slice_axis == "superior":
        normal = -normal
    return center - reach * normal, center + reach * normal


def _plane(prescription: Prescription) -> str:
    plane = _PLANES[prescription.base_orientation]
    tilt_deg = math.degrees(math.acos(min(1.0, max(abs(value) for value in prescription.normal))))
    return f"Oblique (near {plane.lower()})" if tilt_deg > _OBLIQUE_DEG else plane


def _frequency_direction(prescription: Prescription) -> str:
    """The letters of the axis that frequency encoding is nearest to, such as "A/P"."""
    return {"right": "R/L", "anterior": "A/P", "superior": "S/I"}[prescription.read_axis]
