"""The DICOM objects of a plan. The same plan gives the same objects with the same UIDs, so none counts twice."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from ...core.errors import InputError
from ...core.files.atomic_write import atomic_path
from ...core.files.dicom_parsing import parse_dicom
from ...core.files.json_files import read_json

if TYPE_CHECKING:
    from pydicom import Dataset

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SERIES_NUMBER, _SERIES_DESCRIPTION = 9902, "Scan plan, picture (research only)"

#: What a plan is: times, paths and versions do not change it.
_PLAN = ("scouts", "protocol", "protocol_sha256", "landmarks", "box", "prescription", "checks")

#: Copied from the scouts, so that archives file the picture with them.
_STUDY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDate"),
    *("StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)


def write_picture_object(plan: Path, scout: Path, folder: Path) -> Path:
    """Write the picture in the result folder ``plan`` as a secondary capture of the patient of ``scout``.

    Returns:
        The file in ``folder``, named by its UID.

    Raises:
        InputError: the plan, the picture or the scout cannot be read.
    """
    from ...core.storage.results import CALIBRATION_FILE, OVERVIEW_FILE

    content = read_json(plan / CALIBRATION_FILE, InputError, "Plan it again.")
    image = _secondary_capture(content, parse_dicom(scout, stop_before_pixels=True), _pixels(plan / OVERVIEW_FILE))
    path = folder / f"{image.SOPInstanceUID}.dcm"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        image.save_as(temporary, enforce_file_format=True)
    return path


def _secondary_capture(content: Mapping[str, Any], scout: Dataset, pixels: np.ndarray) -> Dataset:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    image, study = Dataset(), str(scout.StudyInstanceUID)
    for name in _STUDY:
        setattr(image, name, scout.get(name, ""))
    image.SOPClassUID = _SECONDARY_CAPTURE
    image.SOPInstanceUID = _uid("picture", study, json.dumps([content[name] for name in _PLAN], sort_keys=True))
    image.SeriesInstanceUID = _uid("series of pictures", study)
    image.Modality, image.ConversionType, image.InstanceNumber = "OT", "WSD", 1
    image.SeriesNumber, image.SeriesDescription = _SERIES_NUMBER, _SERIES_DESCRIPTION
    image.ImageType, image.PatientOrientation, image.BurnedInAnnotation = ["DERIVED", "SECONDARY"], "", "NO"
    image.Manufacturer, image.SecondaryCaptureDeviceSoftwareVersions = "AutoVolumeCalibration", __version__
    image.Rows, image.Columns = pixels.shape[:2]
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    data = pixels.tobytes()
    image.PixelData = data + b"\0" * (len(data) % 2)
    image["PixelData"].VR = "OB"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return image


def _uid(*parts: str) -> str:
    """A UID that the parts determine (DICOM PS3.5 B.2)."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}"


def _pixels(picture: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(picture) as opened:
            return np.asarray(opened.convert("RGB"))
    except OSError as error:
        raise InputError("the picture of the plan cannot be read", source=str(picture), remedy="Plan again.") from error
