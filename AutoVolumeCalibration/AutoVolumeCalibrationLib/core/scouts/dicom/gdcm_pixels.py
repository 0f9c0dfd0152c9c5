"""Compressed DICOM pixels that pydicom alone cannot decode, by GDCM, which SimpleITK carries.

Only the compressed frame and what describes its values go to GDCM, in a file of its own: it would apply the rescale of
the header, which is ours to judge, and nothing that identifies a patient belongs in a temporary file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..image_file import silent_stderr

if TYPE_CHECKING:
    from pydicom import Dataset

#: JPEG baseline, extended (12 bit), lossless; JPEG-LS; JPEG 2000: what GDCM 3 decodes.
_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91))

_DESCRIPTION = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")


def decodes(transfer_syntax: str) -> bool:
    """Whether GDCM decodes images of this transfer syntax."""
    return transfer_syntax in _SYNTAXES


def stored_values(dataset: Dataset, index: int, frames: int) -> np.ndarray:
    """(rows, columns) as stored, of frame ``index`` of so many; neither rescale nor photometric interpretation applied.

    Raises:
        RuntimeError, ValueError, OSError: the compressed data are damaged.
    """
    import SimpleITK as sitk
    from pydicom.encaps import get_frame

    data = get_frame(dataset.PixelData, index, number_of_frames=frames)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.dcm"
        _single_frame(dataset, data).save_as(path, enforce_file_format=True)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        with silent_stderr():
            image = reader.Execute()
    return np.squeeze(sitk.GetArrayFromImage(image), axis=0)


def _single_frame(dataset: Dataset, data: bytes) -> Dataset:
    """A data set with nothing but one compressed frame."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    single = Dataset()
    single.file_meta = FileMetaDataset()
    single.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    single.file_meta.MediaStorageSOPClassUID = single.SOPClassUID = SecondaryCaptureImageStorage
    single.file_meta.MediaStorageSOPInstanceUID = single.SOPInstanceUID = generate_uid()
    single.SamplesPerPixel, single.PhotometricInterpretation = 1, "MONOCHROME2"
    for keyword in _DESCRIPTION:
        setattr(single, keyword, dataset.get(keyword))
    single.PixelData = encapsulate([data])
    single["PixelData"].VR = "OB"
    return single
