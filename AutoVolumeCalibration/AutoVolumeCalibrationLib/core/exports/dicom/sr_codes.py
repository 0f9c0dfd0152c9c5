"""Coded concepts of the report: DICOM's where it has one, else this project's own scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...anatomy.body_region import BODY_REGIONS

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

#: Side of the body -> SNOMED CT.
_LATERALITY = {"right": "24028007", "left": "7771000"}

#: Designator of the project's own codes; names beginning with 99 are private (PS3.16 section 8.2).
SCHEME = "99AVC"

#: Longest code value and meaning (SH, LO).
_LONGEST_VALUE, _LONGEST_MEANING = 16, 64

#: Code value -> meaning of the project's concepts.
MEANINGS = {
    "BOX_FACE": "Face of the planned scan volume",
    "POSITION_SD": "Standard deviation of the position",
    "CONFIDENCE": "Confidence of the detection",
    "LANDMARK_STATUS": "Origin of the landmark",
    "PREDICTED": "Found by the model",
    "CORRECTED": "Placed by the user",
    "PRESCRIPTION": "Scan prescription",
    "FOV_READ": "Field of view, read",
    "FOV_PHASE": "Field of view, phase",
    "SLICES": "Number of slices",
    "THICKNESS": "Slice thickness",
    "GAP": "Gap between slices",
    "CENTER_L": "Centre of the volume, towards left",
    "CENTER_P": "Centre of the volume, towards posterior",
    "CENTER_H": "Centre of the volume, towards head",
    "PLAN": "Scan plan",
    "PLAN_TEXT": "Scan prescription as text",
    "CHECK": "Check of the plan",
    "MISSING": "Landmarks that were not found",
    "MODEL": "Model",
    "PROTOCOL": "Planning protocol",
    "RECORD": "Plan as JSON",
}


def concept(value: str) -> CodedConcept:
    """One of this project's concepts."""
    return _coded(value, MEANINGS[value])


def named(kind: str, name: str, title: str) -> CodedConcept:
    """A concept for something that the protocol or the anatomy names, such as a landmark.

    Names longer than a code value become its beginning; the tracking identifier holds the whole name.
    """
    return _coded(name[:_LONGEST_VALUE], title or f"{kind} {name}")


def site_concept(anatomy: str) -> CodedConcept:
    """The region of the body in SNOMED CT, in this project's own scheme for a user's anatomy."""
    from highdicom.sr import CodedConcept

    region = BODY_REGIONS.get(anatomy)
    if region is None:
        return named("Anatomy", anatomy.upper() or "LIMB", anatomy.replace("_", " ").capitalize() or "Limb")
    return CodedConcept(region.code, "SCT", region.meaning)


def laterality_concept(side: str) -> CodedConcept:
    """ "right" or "left" as a code of CID 244, Laterality."""
    from highdicom.sr import CodedConcept

    return CodedConcept(_LATERALITY[side], "SCT", side.capitalize())


def face_concept(face: str) -> CodedConcept:
    """A face of the box, such as "left"."""
    return _coded(f"BOX_{face.upper()}", f"{face.capitalize()} face of the planned scan volume")


def _coded(value: str, meaning: str) -> CodedConcept:
    from highdicom.sr import CodedConcept

    return CodedConcept(value=value, scheme_designator=SCHEME, meaning=meaning[:_LONGEST_MEANING])
