"""In which direction of an image the phase was encoded, and how much of the field of view: classic and enhanced MR."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..files.dicom_parsing import parse_dicom, quiet_libraries
from .dicom import PARSE_ERRORS
from .dicom.elements import frame_value, numbers_of

#: Directions of phase encoding: along the rows of the image, or along its columns; empty where it is not stated.
ROW, COLUMN, UNSTATED = "row", "column", ""

#: Where enhanced objects keep both (DICOM PS3.3 C.8.13.5.3); classic ones have them at the top.
_GROUP = "MRFOVGeometrySequence"


@dataclass(frozen=True)
class PhaseEncoding:
    """``along`` is ROW, COLUMN or UNSTATED; ``share`` of the read field of view that was encoded in phase, 0..1."""

    along: str = UNSTATED
    share: float = 1.0


def read_phase_encoding(path: Path, index: int = 0) -> PhaseEncoding:
    """What the header of frame ``index``, counted from 0, of a DICOM file states; nothing where it is damaged."""
    try:
        with quiet_libraries():
            dataset = parse_dicom(path, stop_before_pixels=True)
            direction = str(frame_value(dataset, index, _GROUP, "InPlanePhaseEncodingDirection") or "")
            percent = numbers_of(frame_value(dataset, index, _GROUP, "PercentPhaseFieldOfView"), 1)
    except PARSE_ERRORS:
        return PhaseEncoding()
    share = 1.0 if percent is None or not 0 < percent[0] <= 100 else float(percent[0]) / 100
    return PhaseEncoding(_direction(direction.strip().upper()), share)


def _direction(word: str) -> str:
    """COL in classic objects, COLUMN in enhanced ones: phase is encoded along a column, that is down the rows."""
    if word.startswith("COL"):
        return COLUMN
    return ROW if word == "ROW" else UNSTATED
