"""DICOM scouts, frame by frame: single-frame and enhanced multi-frame.

The header is checked before any pixel is decoded. Nothing that identifies a patient leaves this file:
messages and log lines hold file names and reasons of our own wording, never values or library texts.
"""

from __future__ import annotations

import logging
import struct
import traceback
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsInt

import numpy as np

from ..errors import InputError
from ..files.dicom_parsing import parse_dicom, quiet_libraries
from ..geometry.coordinates import swap_ras_lps
from .stack import ScoutSlice, ScoutStack, group_into_stacks
from .validation import MAX_FRAMES, finite_pixels, require_position, require_sane_size, require_spacing, square_axes

if TYPE_CHECKING:
    from pydicom import Dataset

_logger = logging.getLogger(__name__)

_ONE_EXAMINATION = "Choose the scouts of one examination."
_EXPORT_AGAIN = "Export or copy the file again."

#: MR Image Storage: classic, enhanced, enhanced colour, legacy converted. Not spectroscopy (4.2).
_MR_IMAGE_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.4{suffix}" for suffix in ("", ".1", ".3", ".4"))
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

#: What the standard library raises below pydicom, which parses elements on access. Neither TypeError nor
#: AttributeError: those point to a mistake in our own code.
PARSE_ERRORS = (ValueError, NotImplementedError, OverflowError, EOFError, OSError, struct.error, zlib.error)

#: What ``pydicom.pixels.pixel_array`` raises besides these: RuntimeError where every decoder failed, AttributeError
#: where an element is missing, TypeError where one has several values. Only that call may be guarded by this.
_DECODE_ERRORS = (*PARSE_ERRORS, RuntimeError, AttributeError, TypeError, MemoryError)


class NotAScout(InputError):
    """Valid DICOM, but not a scout (a report, a screenshot, a CT): skipped where a whole folder is given."""


@dataclass(frozen=True, eq=False)
class DicomFrame:
    """One frame and the identifiers that group frames; empty strings where the file states none."""

    scout: ScoutSlice
    patient: str = field(repr=False)
    study: str
    series: str
    series_number: str
    frame_of_reference: str


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
    from pydicom.errors import BytesLengthException

    source = str(path)
    try:
        with quiet_libraries():
            return _read_frames(path, source, force)
    except (*PARSE_ERRORS, BytesLengthException) as error:
        _log_where(error, source)
        raise InputError("the DICOM file is damaged or cut short", source=source, remedy=_EXPORT_AGAIN) from error


def _read_frames(path: Path, source: str, force: bool) -> list[DicomFrame]:
    import pydicom

    dataset = parse_dicom(path)
    dataset.file_meta.setdefault("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)
    _require_scout(dataset, source, force)
    frames = _frame_count(dataset, source)
    require_sane_size((*_size(dataset), frames), source)
    _require_decoder(dataset, source)
    # All geometry first: it is cheap, and what it finds is worth more than a decoding error.
    geometries = [_geometry(dataset, index, _frame_name(source, index, frames)) for index in range(frames)]
    return [
        DicomFrame(
            scout=ScoutSlice(pixels=_pixels(dataset, index, geometry["source"]), **geometry),
            patient=_text(dataset, "PatientID") or _text(dataset, "PatientName"),
            study=_text(dataset, "StudyInstanceUID"),
            series=_text(dataset, "SeriesInstanceUID"),
            series_number=_text(dataset, "SeriesNumber"),
            frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
        )
        for index, geometry in enumerate(geometries)
    ]


def _log_where(error: BaseException, source: str) -> None:
    """Log at DEBUG where a library failed, without its message, which may quote header values."""
    where = "".join(traceback.format_tb(error.__traceback__))
    _logger.debug("%s: %s from\n%s", source, type(error).__name__, where)


def stacks_from_frames(frames: Sequence[DicomFrame], source: str) -> list[ScoutStack]:
    """Pool the frames of all files and sort them into stacks by series, frame of reference and orientation.

    Series stay apart, so that a repeated localizer adds stacks instead of mixing slices from before
    and after a movement into one.

    Raises:
        InputError: where they come from several patients, studies or frames of reference.
    """
    _require_one((frame.patient for frame in frames), "patients", source)
    _require_one((frame.study for frame in frames), "studies", source)
    _require_one((frame.frame_of_reference for frame in frames), "frames of reference", source)
    series: dict[tuple[str, str], list[DicomFrame]] = {}
    for frame in frames:
        series.setdefault((frame.series, frame.frame_of_reference), []).append(frame)
    stacks: list[ScoutStack] = []
    for (_, frame_of_reference), members in series.items():
        name = f"series {members[0].series_number}" if members[0].series_number else "DICOM"
        stacks += group_into_stacks((m.scout for m in members), frame_of_reference or None, name)
    return stacks


def _require_one(values: Iterable[str], what: str, source: str) -> None:
    count = len({value for value in values if value})
    if count > 1:
        raise InputError(f"the images come from {count} different {what}", source=source, remedy=_ONE_EXAMINATION)


def _require_scout(dataset: Dataset, source: str, force: bool) -> None:
    """Raise NotAScout where the object is not a single-channel MR image."""
    remedy = "Choose the MR localizer images."
    if "DirectoryRecordSequence" in dataset:
        raise NotAScout("a DICOMDIR is an index without images", source=source, remedy="Choose the image folder.")
    if not (_value(dataset, "Rows") and _value(dataset, "Columns") and any(_value(dataset, k) for k in _PIXELS)):
        if _text(dataset, "SOPClassUID") in ("", *_MR_IMAGE_CLASSES):
            raise InputError("the image is missing or cut short in this file", source=source, remedy=_EXPORT_AGAIN)
        raise NotAScout("this DICOM object does not hold an image", source=source, remedy=remedy)
    modality = _text(dataset, "Modality")
    if modality != "MR" and not force:
        stated = modality if modality.isalpha() and len(modality) <= 4 else "unknown"
        raise NotAScout(f"the modality is {stated}, not MR", source=source, remedy=f"{remedy[:-1]}, or force it.")
    if (_value(dataset, "SamplesPerPixel") or 1) != 1:
        raise NotAScout("this is a colour image", source=source, remedy=remedy)
    if "MOSAIC" in _text(dataset, "ImageType").upper():
        raise NotAScout("this is a mosaic of many slices in one image", source=source, remedy=remedy)


def _frame_count(dataset: Dataset, source: str) -> int:
    """Number of frames; more than one needs a geometry per frame, which only enhanced objects have."""
    stated = _value(dataset, "NumberOfFrames")
    frames = 1 if stated is None else int(stated) if str(stated).strip().isdigit() else 0
    if not 1 <= frames <= MAX_FRAMES:
        raise InputError("the number of frames is invalid", source=source, remedy=_EXPORT_AGAIN)
    if frames > 1 and len(_items(dataset, "PerFrameFunctionalGroupsSequence")) < frames:
        raise InputError(
            f"{frames} frames, but not a position for each of them",
            source=source,
            remedy="Export as enhanced MR or one file per slice.",
        )
    return frames


def _require_decoder(dataset: Dataset, source: str) -> None:
    """Raise InputError where pydicom has no decoder for the compression of the file."""
    from pydicom.pixels import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    if not isinstance(syntax, str):
        raise InputError("the DICOM file is damaged or cut short", source=source, remedy=_EXPORT_AGAIN)
    try:
        known = get_decoder(syntax).is_available
    except NotImplementedError:
        known = False
    if not known:
        raise InputError(
            f"no decoder is installed for its compression ({syntax.name})",
            source=source,
            remedy="Export the images uncompressed, or pip install pylibjpeg[all].",
        )


def _geometry(dataset: Dataset, index: int, source: str) -> dict[str, Any]:
    """ScoutSlice's fields of one frame except its pixels; DICOM's LPS is converted to RAS here."""
    orientation = _numbers(_frame_value(dataset, index, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    position = _numbers(_frame_value(dataset, index, "PlanePositionSequence", "ImagePositionPatient"), 3)
    spacing = _numbers(_frame_value(dataset, index, "PixelMeasuresSequence", "PixelSpacing"), 2)
    thickness = _numbers(_frame_value(dataset, index, "PixelMeasuresSequence", "SliceThickness"), 1)
    orientation = _require_finite(orientation, "orientation", source)
    position = _require_finite(position, "position", source)
    require_position(position, source)
    spacing = _require_finite(spacing, "pixel spacing", source)
    require_spacing(spacing, source)
    # ImageOrientationPatient holds the direction along a row (growing column) first.
    column_axis, row_axis = square_axes(swap_ras_lps(orientation[:3]), swap_ras_lps(orientation[3:]), source)
    return {
        "origin_mm": swap_ras_lps(position),
        "column_axis": column_axis,
        "row_axis": row_axis,
        "spacing_mm": (float(spacing[0]), float(spacing[1])),
        "thickness_mm": _usable_thickness(thickness),
        "source": source,
    }


def _require_finite(numbers: np.ndarray | None, what: str, source: str) -> np.ndarray:
    """``numbers``; InputError where they are missing or not finite."""
    if numbers is None or not np.isfinite(numbers).all():
        raise InputError(
            f"the image {what} is missing or not a number",
            source=source,
            remedy="Export the original images with their geometry.",
        )
    return numbers


def _usable_thickness(thickness: np.ndarray | None) -> float | None:
    """The stated slice thickness (1,) in mm; None where it is missing, not finite or not above zero."""
    if thickness is None or not np.isfinite(thickness[0]) or thickness[0] <= 0:
        return None
    return float(thickness[0])


def _pixels(dataset: Dataset, index: int, source: str) -> np.ndarray:
    """(rows, columns) float32 of one frame: rescaled, padding at the level of the background, bright means high signal.

    A MONOCHROME1 image is inverted at its largest value, so that its air becomes 0.
    """
    stored = _stored_values(dataset, index, source)
    padding = _padding(dataset, stored)
    rescale = [
        _numbers(_frame_value(dataset, index, "PixelValueTransformationSequence", keyword), 1)
        for keyword in ("RescaleSlope", "RescaleIntercept")
    ]
    slope = 1.0 if rescale[0] is None else rescale[0][0]
    intercept = 0.0 if rescale[1] is None else rescale[1][0]
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise InputError("the rescale slope or intercept is invalid", source=source, remedy=_EXPORT_AGAIN)
    values = finite_pixels(stored * slope + intercept, source)
    kept = values[~padding] if not padding.all() else values
    if _text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        values, kept = kept.max() - values, kept.max() - kept
    values[padding] = kept.min()
    return values


def _stored_values(dataset: Dataset, index: int, source: str) -> np.ndarray:
    from pydicom.errors import BytesLengthException
    from pydicom.pixels import pixel_array

    try:
        stored = pixel_array(dataset, index=index, raw=True)
    except (*_DECODE_ERRORS, BytesLengthException) as error:
        _log_where(error, source)
        raise InputError(
            "the pixel data are damaged or cut short", source=source, remedy="Export the file again, uncompressed."
        ) from error
    if stored.shape != _size(dataset):
        raise InputError("the pixel data do not have the stated size", source=source, remedy=_EXPORT_AGAIN)
    return stored.astype(np.float64)


def _padding(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Mask of the stored values that lie outside the image: PixelPaddingValue, or up to its range limit."""
    value = _numbers(_value(dataset, "PixelPaddingValue"), 1)
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = _numbers(_value(dataset, "PixelPaddingRangeLimit"), 1)
    low, high = sorted((value[0], value[0] if limit is None else limit[0]))
    return (stored >= low) & (stored <= high)


def _frame_value(dataset: Dataset, index: int, group: str, keyword: str) -> Any:
    """An attribute of one frame: its own functional group, else the shared one, else the top of the data set."""
    per_frame = _items(dataset, "PerFrameFunctionalGroupsSequence")[index : index + 1]
    shared = _items(dataset, "SharedFunctionalGroupsSequence")[:1]
    for holder in (*per_frame, *shared):
        for item in _items(holder, group)[:1]:
            if keyword in item:
                return _value(item, keyword)
    return _value(dataset, keyword)


def _value(dataset: Dataset, keyword: str) -> Any:
    """The attribute's value, None where it is absent, or not a number although it should be one."""
    try:
        return dataset.get(keyword)
    except (ValueError, TypeError, OverflowError):
        return None


def _items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence, none where it is absent or damaged so that it is not a sequence any more."""
    from pydicom import Sequence as DicomSequence

    value = dataset.get(keyword)
    return value if isinstance(value, DicomSequence) else ()


def _size(dataset: Dataset) -> tuple[int, int]:
    """(rows, columns) as the header states them.

    Raises:
        ValueError: a damaged header states something else than one number for each.
    """
    rows, columns = _value(dataset, "Rows"), _value(dataset, "Columns")
    if not isinstance(rows, SupportsInt) or not isinstance(columns, SupportsInt):
        raise ValueError("the size of the image is not a pair of numbers")
    return int(rows), int(columns)


def _text(dataset: Dataset, keyword: str) -> str:
    value = _value(dataset, keyword)
    return "" if value is None else str(value).strip()


def _numbers(value: Any, count: int) -> np.ndarray | None:
    """``count`` floats, None where there are not that many or they do not parse."""
    try:
        numbers = np.atleast_1d(np.asarray(value, dtype=float))
    except (ValueError, TypeError):
        return None
    return numbers if numbers.shape == (count,) and value is not None else None


def _frame_name(source: str, index: int, frames: int) -> str:
    return source if frames == 1 else f"{source} frame {index + 1}"
