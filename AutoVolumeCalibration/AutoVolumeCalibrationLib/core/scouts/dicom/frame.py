"""One DICOM frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..stack import ScoutSlice


@dataclass(frozen=True, eq=False)
class DicomFrame:
    """One frame and what its header says about it; empty strings where the file states nothing.

    Attributes:
        scout: its pixels are a view of a single zero where only headers were read.
        patient: PatientID; patient_name: PatientName.
        study, series, frame_of_reference: UIDs.
        series_number: SeriesNumber.
        path, index: the file, and which of its frames this is, from 0.
        description: SeriesDescription and ProtocolName; a patient's name may hide in them.
        time: date and time of acquisition, as text that sorts.
        kind: what it shows instead of a plain magnitude image (``series.kind_of_image``), None where it is one.
        localizer: the header calls it so.
        laterality: side of the body, "right" or "left"; body_part: in DICOM's words.
    """

    scout: ScoutSlice
    patient: str = field(repr=False)
    patient_name: str = field(repr=False)
    study: str
    series: str
    series_number: str
    frame_of_reference: str
    path: Path = Path()
    index: int = 0
    description: str = field(default="", repr=False)
    time: str = ""
    kind: str | None = None
    localizer: bool = False
    laterality: str = ""
    body_part: str = ""
