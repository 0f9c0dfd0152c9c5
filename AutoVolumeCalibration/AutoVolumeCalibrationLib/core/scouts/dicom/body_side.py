"""Which part of the body a DICOM header says that it shows, and on which side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .elements import frame_value, text_of

if TYPE_CHECKING:
    from pydicom import Dataset

#: Laterality as DICOM writes it; U (unpaired) and B (both sides) state no side.
_SIDES = {"R": "right", "L": "left"}


def laterality_of(dataset: Dataset, index: int) -> str:
    """ "right" or "left" as the frame's header states it, empty where it states neither.

    Frame Laterality (0020,9072) of enhanced objects, else Image Laterality (0020,0062), else Laterality (0020,0060) of
    the series.
    """
    stated = (
        str(frame_value(dataset, index, "FrameAnatomySequence", "FrameLaterality") or ""),
        text_of(dataset, "ImageLaterality"),
        text_of(dataset, "Laterality"),
    )
    first = next((text for text in stated if text.strip()), "")
    return _SIDES.get(first.strip().upper(), "")


def body_part_of(dataset: Dataset) -> str:
    """Body Part Examined (0018,0015) in capitals, empty where it is not stated."""
    return text_of(dataset, "BodyPartExamined").upper()
