"""DICOM files parsed within limits, and without a word from the libraries, which quote header values."""

from __future__ import annotations

import io
import logging
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import InputError
from .regular_file import require_regular

if TYPE_CHECKING:
    from pydicom import Dataset

#: Loggers of pydicom and of the decoders it uses.
_TALKING = ("pydicom", "pylibjpeg", "libjpeg", "openjpeg", "rle", "jpeg_ls")
_loggers_lock = threading.RLock()

_DEFLATED = "1.2.840.10008.1.2.1.99"
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_META_GROUP = 2

#: Of a file, and of what a deflated one unpacks to; the largest sets of scouts have some 100 MB.
_MOST_FILE_BYTES, _MOST_UNPACKED_BYTES = 2**30, 2**28


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep warnings and log lines of the DICOM libraries off the terminal: they quote names and numbers of patients."""
    loggers = [logging.getLogger(name) for name in _TALKING]
    nothing = logging.NullHandler()  # else a line without any handler is printed
    with _loggers_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = [logger.propagate for logger in loggers]
        for logger in loggers:
            logger.addHandler(nothing)
            logger.propagate = False
        try:
            yield
        finally:
            for logger, propagated in zip(loggers, before, strict=True):
                logger.removeHandler(nothing)
                logger.propagate = propagated


def parse_dicom(path: Path, *, stop_before_pixels: bool = False) -> Dataset:
    """The data set of a file, with its file meta information; pixels are not decoded, or not even read.

    pydicom unpacks a deflated data set to whatever size it has: that is done here, up to a limit.

    Raises:
        InputError: the file is not a regular one, or too large, packed or unpacked.
        ValueError, OSError and others of ``dicom.PARSE_ERRORS``: it is damaged.
    """
    require_regular(path, InputError, "Choose the scouts.", most_bytes=_MOST_FILE_BYTES)
    with open(path, "rb") as stream:
        return _parsed(stream, str(path), stop_before_pixels)


def parse_dicom_bytes(content: bytes, source: str, *, stop_before_pixels: bool = False) -> Dataset:
    """``parse_dicom`` of the content of a file, as it came over the network; ``source`` names it in errors."""
    return _parsed(io.BytesIO(content), source, stop_before_pixels)


def _parsed(stream: BinaryIO, source: str, stop_before_pixels: bool) -> Dataset:
    import pydicom

    if stream.read(132)[128:] == b"DICM":
        meta = _meta(stream)
        if str(meta.get("TransferSyntaxUID", "")) == _DEFLATED:
            return _inflated(meta, stream.read(), source)
    stream.seek(0)
    return pydicom.dcmread(stream, force=True, stop_before_pixels=stop_before_pixels)


def _meta(stream: BinaryIO) -> Dataset:
    """The elements of group 2; the stream then stands at the data set."""
    from pydicom.filereader import read_dataset

    def is_behind(tag: Any, _vr: str | None, _length: int) -> bool:
        return bool(tag.group != _META_GROUP)

    return read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=is_behind)


def _inflated(meta: Dataset, packed: bytes, source: str) -> Dataset:
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset

    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    content = unpacker.decompress(packed, _MOST_UNPACKED_BYTES)
    if unpacker.unconsumed_tail:
        raise InputError(
            "it unpacks to far more than any scout has", source=source, remedy="Export the image uncompressed."
        )
    dataset = read_dataset(io.BytesIO(content), is_implicit_VR=False, is_little_endian=True)
    meta.TransferSyntaxUID = _EXPLICIT_LITTLE_ENDIAN  # as it is now
    dataset.file_meta = FileMetaDataset(meta)
    return dataset
