"""Classify the series in a folder of DICOM files by their headers: which are localizers, which may be diagnostic.

Patient identifiers stay in memory, to group the studies of a patient; they reach no message and no file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.dicom_parsing import parse_dicom, quiet_libraries
from AutoVolumeCalibrationLib.core.scouts.dicom import PARSE_ERRORS, is_dicom
from AutoVolumeCalibrationLib.core.scouts.series import is_named_localizer, is_preparation, kind_of_image
from AutoVolumeCalibrationLib.core.scouts.stack import plane_of

if TYPE_CHECKING:
    from pydicom import Dataset

_logger = logging.getLogger(__name__)

_WORDS = (
    *("StudyInstanceUID", "FrameOfReferenceUID", "SeriesInstanceUID", "Modality", "ImageType", "PatientID"),
    *("PatientName", "SeriesNumber", "SeriesDate", "SeriesTime", "SeriesDescription", "ProtocolName"),
)

#: A series of fewer slices is unlikely to be a planned volume.
FEWEST_SLICES = 5


@dataclass(frozen=True)
class Series:
    """One series of one frame of reference.

    Attributes:
        paths: its files.
        number: SeriesNumber, ascending in the order of scanning.
        time: date and time of the series, as text that sorts.
        description: SeriesDescription.
        localizer: its header says so, or it has several planes.
        plain: it has magnitude images as they were acquired, not only projections, phases, maps or reformats.
        slices: number of images, over all planes.
        patient, study, frame_of_reference: identifiers.
    """

    paths: tuple[Path, ...]
    number: int
    time: str
    description: str = field(repr=False)
    localizer: bool
    plain: bool
    slices: int
    patient: str = field(repr=False)
    study: str
    frame_of_reference: str

    @property
    def order(self) -> tuple[int, str]:
        """Sort key: the order in which the series of a study were scanned."""
        return self.number, self.time

    @property
    def diagnostic(self) -> bool:
        """Whether it may be a planned volume."""
        enough = self.slices >= FEWEST_SLICES
        return not self.localizer and self.plain and enough and not is_preparation(self.description)


@dataclass(frozen=True, eq=False)
class _Header:
    """What is needed of a file's header: its attributes, and the (3,) normal of every image, in LPS."""

    path: Path
    words: Mapping[str, str] = field(repr=False)
    normals: tuple[np.ndarray, ...]


def find_series(root: Path) -> list[list[Series]]:
    """The MR series below a folder: one list for each study and frame of reference, in the order of scanning.

    Other files than MR images, and those without a frame of reference, are left out.

    Raises:
        InputError: the folder does not exist, or holds no MR image with a frame of reference.
    """
    groups: dict[tuple[str, str, str], list[_Header]] = {}
    for header in _headers(root):
        words = header.words
        study, frame, series = words["StudyInstanceUID"], words["FrameOfReferenceUID"], words["SeriesInstanceUID"]
        if frame and words["Modality"] == "MR" and header.normals:
            groups.setdefault((study, frame, series), []).append(header)
    if not groups:
        raise InputError(
            "holds no MR images with a frame of reference",
            source=str(root),
            remedy="Give a folder of DICOM studies as the archive exports them.",
        )
    studies: dict[tuple[str, str], list[Series]] = {}
    for (study, frame, _), members in groups.items():
        studies.setdefault((study, frame), []).append(_series(members, study, frame))
    return [sorted(series, key=lambda one: one.order) for series in studies.values()]


def _headers(root: Path) -> Iterator[_Header]:
    if not root.is_dir():
        raise InputError("is not a folder", source=str(root), remedy="Give the folder of the archive.")
    for folder, folders, names in os.walk(root):
        folders.sort()
        for path in (Path(folder) / name for name in sorted(names)):
            try:
                if path.is_file() and is_dicom(path):
                    yield _read_header(path)
            except PARSE_ERRORS:
                # Without its text, which may quote the header.
                _logger.warning("%s is damaged and left out", path)


def _read_header(path: Path) -> _Header:
    with quiet_libraries():
        dataset = parse_dicom(path, stop_before_pixels=True)
        return _Header(path, {word: _text(dataset, word) for word in _WORDS}, tuple(_normals(dataset)))


def _series(members: list[_Header], study: str, frame_of_reference: str) -> Series:
    words = members[0].words
    planes = [plane_of(normal) for header in members for normal in header.normals]
    description = f"{words['SeriesDescription']} {words['ProtocolName']}"
    image_type = _image_type(words)
    number = words["SeriesNumber"]
    return Series(
        paths=tuple(header.path for header in members),
        number=int(number) if number.lstrip("-").isdigit() else 0,
        time=words["SeriesDate"] + words["SeriesTime"],
        description=description,
        localizer=is_named_localizer(description, image_type) or len(set(planes)) > 1,
        # A series may hold magnitude and phase; its magnitude images are then what was planned.
        plain=any(kind_of_image(_image_type(header.words)) is None for header in members),
        slices=len(planes),
        patient=words["PatientID"] or words["PatientName"],
        study=study,
        frame_of_reference=frame_of_reference,
    )


def _image_type(words: Mapping[str, str]) -> list[str]:
    """The words of ImageType, which ``_text`` joined as DICOM does."""
    return words["ImageType"].split("\\")


def _normals(dataset: Dataset) -> Iterator[np.ndarray]:
    """The normal of every image in a file; images without an orientation are left out."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [dataset])[0]
    for frame in dataset.get("PerFrameFunctionalGroupsSequence") or [dataset]:
        holder = (frame.get("PlaneOrientationSequence") or shared.get("PlaneOrientationSequence") or [frame])[0]
        axes = np.array(holder.get("ImageOrientationPatient") or (), dtype=float)
        if axes.shape == (6,) and np.isfinite(axes).all():
            yield np.cross(axes[:3], axes[3:])


def _text(dataset: Dataset, keyword: str) -> str:
    from pydicom.multival import MultiValue

    value = dataset.get(keyword)
    if isinstance(value, MultiValue):
        return "\\".join(map(str, value))
    return "" if value is None else str(value).strip()
