"""What DICOM calls the shipped anatomies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BodyRegion:
    """A region of the body in DICOM's terms (PS3.16, annex L: body parts and their codes).

    Attributes:
        code, meaning: SNOMED CT.
        body_parts: values of Body Part Examined (0018,0015) with which it is scanned.
    """

    code: str
    meaning: str
    body_parts: tuple[str, ...]


#: Anatomy -> its region. A user's own anatomies have none.
BODY_REGIONS = {
    "brain": BodyRegion("12738006", "Brain", ("BRAIN", "HEAD", "SKULL", "HEADNECK")),
    "knee": BodyRegion("72696002", "Knee", ("KNEE",)),
}


def anatomy_of_body_part(body_part: str) -> str:
    """The shipped anatomy that a Body Part Examined belongs to, empty where it is another one or unknown."""
    return next((anatomy for anatomy, region in BODY_REGIONS.items() if body_part in region.body_parts), "")
