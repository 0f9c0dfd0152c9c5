"""Read DICOM files: their headers, and their pixels where these are wanted."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ...files.dicom_parsing import parse_dicom
from .damage import damage_named
from .elements import value_of
from .frame import DicomFrame
from .header import frames_of, no_image
from .pixels import pixels_of, require_decoder

if TYPE_CHECKING:
    from pydicom import Dataset

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def is_dicom(path: Path) -> bool:
    """Whether the file starts like DICOM, with or without the 128-byte preamble.

    Raises:
        InputError: where the file cannot be opened.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(132)
    except OSError as error:
        raise InputError("the file cannot be opened", source=str(path), remedy="Check its access rights.") from error
    if head[128:] == b"DICM":
        return True
    # Without a preamble the first element is of group 0002 or 0008, and its number is small.
    if len(head) < 132:
        return False
    group, element = struct.unpack("<HH", head[:4])
    return group in (0x0002, 0x0008) and element <= 0x0020


def read_dicom_frames(path: Path, *, force: bool = False) -> list[DicomFrame]:
    """All frames of one DICOM file, in their order.

    Args:
        force: take images of other modalities than MR too.

    Raises:
        NotAScout: where the file is not a single-channel MR image.
        InputError: where the file or its geometry is damaged, missing or of an unusable kind.
    """
    return with_pixels(read_dicom_headers(path, force=force))


def read_dicom_headers(path: Path, *, force: bool = False) -> list[DicomFrame]:
    """``read_dicom_frames`` without the pixels, which ``with_pixels`` reads later where they are wanted."""
    with damage_named(str(path)):
        return frames_of(_open(path, headers_only=True), path, force)


def with_pixels(frames: Sequence[DicomFrame]) -> list[DicomFrame]:
    """Frames of one file, whose headers were read, with their pixels.

    Raises:
        InputError: where the image is missing or damaged, or nothing decodes its compression.
    """
    path = frames[0].path
    with damage_named(str(path)):
        dataset = _open(path, headers_only=False)
        if not any(value_of(dataset, keyword) for keyword in _PIXELS):
            raise no_image(str(path), dataset)
        require_decoder(dataset, str(path))
        return [replace(f, scout=replace(f.scout, pixels=pixels_of(dataset, f.index, f.scout.source))) for f in frames]


def _open(path: Path, *, headers_only: bool) -> Dataset:
    import pydicom

    dataset = parse_dicom(path, stop_before_pixels=headers_only)
    dataset.file_meta.setdefault("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)
    return dataset
