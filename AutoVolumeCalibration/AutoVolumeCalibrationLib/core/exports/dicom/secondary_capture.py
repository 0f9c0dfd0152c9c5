"""The picture of a plan as a DICOM secondary capture: every archive and viewer shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .... import __version__
from ...errors import InputError
from ...files.atomic_write import atomic_path
from .plan_record import plan_record, record_digest
from .scout_headers import copy_study, time_of_scouts
from .uids import uid_of

if TYPE_CHECKING:
    from pydicom import Dataset

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SERIES_NUMBER, SERIES_DESCRIPTION = 9902, "Scan plan, picture (research only)"


def write_secondary_capture(content: Mapping[str, Any], headers: Sequence[Dataset], picture: Path, path: Path) -> None:
    """Write the picture of a plan; UsageError where the file cannot be written.

    Args:
        content: of calibration.json.
        headers: of the scouts.
        picture: the overview, PNG.

    Raises:
        InputError: the picture cannot be read.
    """
    image = secondary_capture(content, headers, _pixels(picture))
    with atomic_path(path) as temporary:
        image.save_as(temporary, enforce_file_format=True)


def secondary_capture(content: Mapping[str, Any], headers: Sequence[Dataset], pixels: np.ndarray) -> Dataset:
    """The object; ``pixels`` (rows, columns, 3) uint8 RGB."""
    from hashlib import sha256

    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    study, identity = str(headers[0].StudyInstanceUID), record_digest(plan_record(content))
    image = Dataset()
    copy_study(headers[0], image)
    image.SOPClassUID = _SECONDARY_CAPTURE
    image.SOPInstanceUID = uid_of("dicom-sc", study, identity, sha256(pixels.tobytes()).hexdigest())
    image.SeriesInstanceUID = uid_of("dicom-sc series", study)
    image.Modality, image.ConversionType, image.SeriesNumber, image.InstanceNumber = "OT", "WSD", SERIES_NUMBER, 1
    image.SeriesDescription = SERIES_DESCRIPTION
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.PatientOrientation = ""  # several planes in one picture
    image.Laterality = ""
    image.BurnedInAnnotation = "NO"  # the overview names neither patient nor study
    image.Manufacturer = image.SecondaryCaptureDeviceManufacturer = "AutoVolumeCalibration"
    image.SecondaryCaptureDeviceSoftwareVersions = __version__
    date, time = time_of_scouts(headers)
    image.ContentDate = image.DateOfSecondaryCapture = date
    image.ContentTime = image.TimeOfSecondaryCapture = time
    image.Rows, image.Columns = pixels.shape[:2]
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    image.PixelData = _even(pixels.tobytes())
    image["PixelData"].VR = "OB"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return image


def _pixels(picture: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(picture) as opened:
            return np.asarray(opened.convert("RGB"))
    except OSError as error:
        raise InputError(
            "the picture of the plan cannot be read", source=str(picture), remedy="Run autovolume refit to draw it."
        ) from error


def _even(data: bytes) -> bytes:
    return data if len(data) % 2 == 0 else data + b"\0"
