"""The pixels of DICOM frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from ..validation import finite_pixels
from . import gdcm_pixels
from .damage import EXPORT_AGAIN, PARSE_ERRORS, log_where
from .elements import frame_value, numbers_of, size_of, text_of, value_of
from .header import frame_count

if TYPE_CHECKING:
    from pydicom import Dataset

#: What ``pydicom.pixels.pixel_array`` raises besides these: RuntimeError where every decoder failed, AttributeError
#: where an element is missing, TypeError where one has several values. Only that call may be guarded by this.
_DECODE_ERRORS = (*PARSE_ERRORS, RuntimeError, AttributeError, TypeError, MemoryError)


def require_decoder(dataset: Dataset, source: str) -> None:
    """Raise InputError where nothing decodes the compression of the file."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not isinstance(syntax, str):
        raise InputError("the DICOM file is damaged or cut short", source=source, remedy=EXPORT_AGAIN)
    if not _pydicom_decodes(syntax) and not gdcm_pixels.decodes(syntax):
        raise InputError(
            f"no decoder is installed for its compression ({syntax.name})",
            source=source,
            remedy="Export the images uncompressed.",
        )


def _pydicom_decodes(syntax: str) -> bool:
    """Whether pydicom decodes this transfer syntax, by itself or by a plug-in that is installed."""
    from pydicom.pixels import get_decoder

    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def pixels_of(dataset: Dataset, index: int, source: str) -> np.ndarray:
    """(rows, columns) float32 of one frame: rescaled, padding at the level of the background, bright means high signal.

    A MONOCHROME1 image is inverted at its largest value, so that its air becomes 0.
    """
    stored = _stored_values(dataset, index, source)
    padding = _padding(dataset, stored)
    rescale = [
        numbers_of(frame_value(dataset, index, "PixelValueTransformationSequence", keyword), 1)
        for keyword in ("RescaleSlope", "RescaleIntercept")
    ]
    slope = 1.0 if rescale[0] is None else rescale[0][0]
    intercept = 0.0 if rescale[1] is None else rescale[1][0]
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise InputError("the rescale slope or intercept is invalid", source=source, remedy=EXPORT_AGAIN)
    values = finite_pixels(stored * slope + intercept, source)
    kept = values[~padding] if not padding.all() else values
    if text_of(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        values, kept = kept.max() - values, kept.max() - kept
    values[padding] = kept.min()
    return values


def _stored_values(dataset: Dataset, index: int, source: str) -> np.ndarray:
    from pydicom.errors import BytesLengthException
    from pydicom.pixels import pixel_array

    try:
        if _pydicom_decodes(dataset.file_meta.TransferSyntaxUID):
            stored = pixel_array(dataset, index=index, raw=True)
        else:
            stored = gdcm_pixels.stored_values(dataset, index, frame_count(dataset, source))
    except (*_DECODE_ERRORS, BytesLengthException) as error:
        log_where(error, source)
        raise InputError(
            "the pixel data are damaged or cut short", source=source, remedy="Export the file again, uncompressed."
        ) from error
    if stored.shape != size_of(dataset):
        raise InputError("the pixel data do not have the stated size", source=source, remedy=EXPORT_AGAIN)
    return stored.astype(np.float64)


def _padding(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Mask of the stored values that lie outside the image: PixelPaddingValue, or up to its range limit."""
    value = numbers_of(value_of(dataset, "PixelPaddingValue"), 1)
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = numbers_of(value_of(dataset, "PixelPaddingRangeLimit"), 1)
    low, high = sorted((value[0], value[0] if limit is None else limit[0]))
    return (stored >= low) & (stored <= high)
