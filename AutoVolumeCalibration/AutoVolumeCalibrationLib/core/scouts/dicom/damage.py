"""Damaged DICOM files: what libraries raise about them becomes InputError, without their words."""

from __future__ import annotations

import logging
import struct
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import InputError
from ...files.dicom_parsing import quiet_libraries

_logger = logging.getLogger(__name__)

EXPORT_AGAIN = "Export or copy the file again."
#: What the standard library raises below pydicom, which parses elements on access. Neither TypeError nor
#: AttributeError: those point to a mistake in our own code.
PARSE_ERRORS = (ValueError, NotImplementedError, OverflowError, EOFError, OSError, struct.error, zlib.error)


@contextmanager
def damage_named(source: str) -> Iterator[None]:
    """Turn what pydicom raises about damaged files into InputError, without pydicom's words."""
    from pydicom.errors import BytesLengthException

    try:
        with quiet_libraries():
            yield
    except (*PARSE_ERRORS, BytesLengthException) as error:
        log_where(error, source)
        raise InputError("the DICOM file is damaged or cut short", source=source, remedy=EXPORT_AGAIN) from error


def log_where(error: BaseException, source: str) -> None:
    """Log at DEBUG where a library failed, without its message, which may quote header values."""
    where = "".join(traceback.format_tb(error.__traceback__))
    _logger.debug("%s: %s from\n%s", source, type(error).__name__, where)
