"""The header of a DICOM file: whether it holds scouts, and what it says about its frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from ..series import NotAScout, is_named_localizer, kind_of_image
from ..stack import ScoutSlice
from ..validation import MAX_FRAMES, require_sane_size
from .body_side import body_part_of, laterality_of
from .damage import EXPORT_AGAIN
from .elements import frame_value, items_of, size_of, text_of, value_of, words_of
from .frame import DicomFrame
from .geometry import geometry_of

if TYPE_CHECKING:
    from pydicom import Dataset

_CHOOSE = "Choose the MR localizer images."
#: MR Image Storage: classic, enhanced, enhanced colour, legacy converted. Not spectroscopy (4.2).
_MR_IMAGE_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.4{suffix}" for suffix in ("", ".1", ".3", ".4"))


def frames_of(dataset: Dataset, path: Path, force: bool) -> list[DicomFrame]:
    """The frames of a data set without pixels, in their order."""
    source = str(path)
    _require_scout(dataset, source, force)
    frames = frame_count(dataset, source)
    require_sane_size((*size_of(dataset), frames), source)
    unread = np.broadcast_to(np.float32(0), size_of(dataset))
    return [
        _frame(
            dataset,
            path,
            index,
            ScoutSlice(pixels=unread, **geometry_of(dataset, index, _frame_name(source, index, frames))),
        )
        for index in range(frames)
    ]


def _frame(dataset: Dataset, path: Path, index: int, scout: ScoutSlice) -> DicomFrame:
    image_type = words_of(frame_value(dataset, index, "MRImageFrameTypeSequence", "FrameType")) or words_of(
        value_of(dataset, "ImageType")
    )
    component = frame_value(dataset, index, "MRImageFrameTypeSequence", "ComplexImageComponent")
    technique = frame_value(dataset, index, "MRImageFrameTypeSequence", "VolumeBasedCalculationTechnique")
    description = f"{text_of(dataset, 'SeriesDescription')} {text_of(dataset, 'ProtocolName')}".strip()
    return DicomFrame(
        scout=scout,
        patient=text_of(dataset, "PatientID"),
        patient_name=text_of(dataset, "PatientName"),
        study=text_of(dataset, "StudyInstanceUID"),
        series=text_of(dataset, "SeriesInstanceUID"),
        series_number=text_of(dataset, "SeriesNumber"),
        frame_of_reference=text_of(dataset, "FrameOfReferenceUID"),
        path=path,
        index=index,
        description=description,
        time=_time(dataset),
        kind=kind_of_image(image_type, str(component or ""), str(technique or "")),
        localizer=is_named_localizer(description, image_type),
        laterality=laterality_of(dataset, index),
        body_part=body_part_of(dataset),
    )


def _time(dataset: Dataset) -> str:
    """Date and time of the acquisition, else of the series, as text that sorts; empty where no time is stated."""
    together = text_of(dataset, "AcquisitionDateTime")
    if together:
        return together
    date = text_of(dataset, "AcquisitionDate") or text_of(dataset, "SeriesDate")
    time = text_of(dataset, "AcquisitionTime") or text_of(dataset, "SeriesTime")
    return f"{date}{time}" if time else ""


def _require_scout(dataset: Dataset, source: str, force: bool) -> None:
    """Raise NotAScout where the object is not a single-channel MR image."""
    if "DirectoryRecordSequence" in dataset:
        raise NotAScout("a DICOMDIR is an index without images", source=source, remedy="Choose the image folder.")
    if not (value_of(dataset, "Rows") and value_of(dataset, "Columns")):
        raise no_image(source, dataset)
    modality = text_of(dataset, "Modality")
    if modality != "MR" and not force:
        stated = modality if modality.isalpha() and len(modality) <= 4 else "unknown"
        raise NotAScout(f"the modality is {stated}, not MR", source=source, remedy=f"{_CHOOSE[:-1]}, or force it.")
    if (value_of(dataset, "SamplesPerPixel") or 1) != 1:
        raise NotAScout("this is a colour image", source=source, remedy=_CHOOSE)
    if not _is_in_space(dataset):
        raise NotAScout("the image has no position in space (a screenshot?)", source=source, remedy=_CHOOSE)
    if "MOSAIC" in text_of(dataset, "ImageType").upper():
        raise NotAScout("this is a mosaic of many slices in one image", source=source, remedy=_CHOOSE)


def no_image(source: str, dataset: Dataset) -> InputError:
    """What is wrong with an object without an image: an MR image lost it, another object never had one."""
    if text_of(dataset, "SOPClassUID") in ("", *_MR_IMAGE_CLASSES):
        return InputError("the image is missing or cut short in this file", source=source, remedy=EXPORT_AGAIN)
    return NotAScout("this DICOM object does not hold an image", source=source, remedy=_CHOOSE)


def _is_in_space(dataset: Dataset) -> bool:
    """Whether the header states anything about position and orientation: a screenshot does not."""
    groups = "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset
    return groups or "ImagePositionPatient" in dataset or "ImageOrientationPatient" in dataset


def frame_count(dataset: Dataset, source: str) -> int:
    """Number of frames; more than one needs a geometry per frame, which only enhanced objects have."""
    stated = value_of(dataset, "NumberOfFrames")
    frames = 1 if stated is None else int(stated) if str(stated).strip().isdigit() else 0
    if not 1 <= frames <= MAX_FRAMES:
        raise InputError("the number of frames is invalid", source=source, remedy=EXPORT_AGAIN)
    if frames > 1 and len(items_of(dataset, "PerFrameFunctionalGroupsSequence")) < frames:
        raise InputError(
            f"{frames} frames, but not a position for each of them",
            source=source,
            remedy="Export as enhanced MR or one file per slice.",
        )
    return frames


def _frame_name(source: str, index: int, frames: int) -> str:
    return source if frames == 1 else f"{source} frame {index + 1}"
