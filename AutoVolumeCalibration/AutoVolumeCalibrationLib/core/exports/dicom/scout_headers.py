"""Headers of the DICOM scouts of a plan, and what objects of the same study take from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ...files.dicom_parsing import parse_dicom, quiet_libraries
from ...scouts.dicom import PARSE_ERRORS
from ...scouts.series_geometry import dicom_file
from ...scouts.stack import ScoutStack

if TYPE_CHECKING:
    from pydicom import Dataset

#: Of the patient, the study and the frame of reference, as they stand in the scouts.
_PATIENT = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize"),
    *("PatientWeight", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
)
_STUDY = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
    *("StudyDescription", "IssuerOfAccessionNumberSequence", "TimezoneOffsetFromUTC"),
)
#: Type 2: present in every object, empty where the scouts state nothing.
_NEVER_MISSING = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID", "FrameOfReferenceUID")

#: The time of objects whose scouts state none (de-identified ones).
_UNDATED = ("19700101", "000000")


def scout_headers(stacks: Sequence[ScoutStack]) -> list[Dataset]:
    """The headers of the files that the scouts came from, each once, in the order of the slices.

    Raises:
        InputError: the scouts are not DICOM, or were cut out of a volume; a header is damaged or without its UIDs.
    """
    if any(stack.volume for stack in stacks):
        raise InputError(
            "the scouts of this plan were cut out of a volume, so there are no scout images that the object could name",
            source=stacks[0].slices[0].source,
            remedy="Plan from a DICOM localizer, or choose a form that is not DICOM.",
        )
    sources = [scout_slice.source for stack in stacks for scout_slice in stack.slices]
    files = [dicom_file(source) for source in dict.fromkeys(sources)]
    if not files or None in files:
        raise InputError(
            "the scouts of this plan are not DICOM images, so the object has no study to join",
            source=sources[0] if sources else None,
            remedy="Plan from the DICOM scouts, or choose a form that is not DICOM.",
        )
    return [_header(path) for path in dict.fromkeys(files) if path is not None]


def header_of(source: str, headers: Sequence[Dataset]) -> Dataset:
    """The header among ``headers`` of the file that a slice came from."""
    path = dicom_file(source)
    uid = _header(path).SOPInstanceUID if path is not None else None
    return next(header for header in headers if header.SOPInstanceUID == uid)


def frame_number(source: str) -> int | None:
    """The frame of a multi-frame file that a slice came from, counted from 1; None for a single-frame file."""
    if Path(source).is_file():
        return None
    number = source.rpartition(" frame ")[2]
    return int(number) if number.isdigit() else None


def patient_position(stacks: Sequence[ScoutStack]) -> str:
    """PatientPosition of the first slice whose file is DICOM and states it; empty where none does."""
    for source in dict.fromkeys(scout_slice.source for stack in stacks for scout_slice in stack.slices):
        path = dicom_file(source)
        if path is not None:
            try:
                stated = str(_parsed(path).get("PatientPosition", "") or "").strip()
            except PARSE_ERRORS:
                continue
            if stated:
                return stated
    return ""


def copy_study(header: Dataset, target: Dataset) -> None:
    """Give ``target`` the patient and the study of a scout; its text is in UTF-8."""
    target.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*_PATIENT, *_STUDY):
        if keyword in header:
            target[keyword] = header[keyword]
        elif keyword in _NEVER_MISSING:
            setattr(target, keyword, "")


def time_of_scouts(headers: Sequence[Dataset]) -> tuple[str, str]:
    """(date, time) of the latest acquisition: the time of what follows from these scouts alone.

    The time of export would give the same object another content every time.
    """
    times = []
    for header in headers:
        for kind in ("Acquisition", "Series", "Study"):
            date = str(header.get(f"{kind}Date", "") or "")
            if date:
                times.append((date, str(header.get(f"{kind}Time", "") or "000000")))
                break
    return max(times, default=_UNDATED)


def _header(path: Path) -> Dataset:
    remedy = "Export or copy the scouts again."
    try:
        header = _parsed(path)
    except PARSE_ERRORS as error:
        raise InputError("the DICOM file is damaged or cut short", source=str(path), remedy=remedy) from error
    missing = [keyword for keyword in _NEEDED if not header.get(keyword)]
    if missing:
        raise InputError(f"the header states no {', '.join(missing)}", source=str(path), remedy=remedy)
    return header


def _parsed(path: Path) -> Dataset:
    with quiet_libraries():
        header = parse_dicom(path, stop_before_pixels=True)
        header.decode()  # text in the character set of the file
    return header
