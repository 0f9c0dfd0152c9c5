"""DICOM scouts, frame by frame: single-frame and enhanced multi-frame.

The header is checked before any pixel is decoded. Nothing that identifies a patient leaves this file:
messages and log lines hold file names and reasons of our own wording, never values or library texts.
"""

from __future__ import annotations

import logging
import struct
import traceback
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsInt

import numpy as np

from ..errors import InputError
from ..files.dicom_parsing import parse_dicom, quiet_libraries
from ..geometry.coordinates import swap_ras_lps
from . import gdcm_pixels
from .series import NotAScout, is_named_localizer, kind_of_image
from .stack import ScoutSlice, ScoutStack, group_into_stacks
from .validation import MAX_FRAMES, finite_pixels, require_position, require_sane_size, require_spacing, square_axes

if TYPE_CHECKING:
    from pydicom import Dataset

_logger = logging.getLogger(__name__)

_ONE_EXAMINATION = "Choose the scouts of one examination."
_EXPORT_AGAIN = "Export or copy the file again."
_CHOOSE = "Choose the MR localizer images."

#: MR Image Storage: classic, enhanced, enhanced colour, legacy converted. Not spectroscopy (4.2).
_MR_IMAGE_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.4{suffix}" for suffix in ("", ".1", ".3", ".4"))
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

#: What the standard library raises below pydicom, which parses elements on access. Neither TypeError nor
#: AttributeError: those point to a mistake in our own code.
PARSE_ERRORS = (ValueError, NotImplementedError, OverflowError, EOFError, OSError, struct.error, zlib.error)

#: What ``pydicom.pixels.pixel_array`` raises besides these: RuntimeError where every decoder failed, AttributeError
#: where an element is missing, TypeError where one has several values. Only that call may be guarded by this.
_DECODE_ERRORS = (*PARSE_ERRORS, RuntimeError, AttributeError, TypeError, MemoryError)


@dataclass(frozen=True, eq=False)
class DicomFrame:
    """One frame and what its header says about it; empty strings where the file states nothing.

    Attributes:
        scout: its pixels are a view of a single zero where only headers were read.
        patient: PatientID; patient_name: PatientName.
        study, series, frame_of_reference: UIDs.
        series_number: SeriesNumber.
        path, index: the file, and which of its frames this is, from 0.
        description: SeriesDescription and ProtocolName; a patient's name may hide in them.
        time: date and time of acquisition, as text that sorts.
        kind: what it shows instead of a plain magnitude image (``series.kind_of_image``), None where it is one.
        localizer: the header calls it so.
    """

    scout: ScoutSlice
    patient: str = field(repr=False)
    patient_name: str = field(repr=False)
    study: str
    series: str
    series_number: str
    frame_of_reference: str
    path: Path = Path()
    index: int = 0
    description: str = field(default="", repr=False)
    time: str = ""
    kind: str | None = None
    localizer: bool = False


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
    with _damage_named(str(path)):
        return _read_headers(path, force)


def with_pixels(frames: Sequence[DicomFrame]) -> list[DicomFrame]:
    """Frames of one file, whose headers were read, with their pixels.

    Raises:
        InputError: where the image is missing or damaged, or nothing decodes its compression.
    """
    path = frames[0].path
    with _damage_named(str(path)):
        dataset = _open(path, headers_only=False)
        if not any(_value(dataset, keyword) for keyword in _PIXELS):
            raise _no_image(str(path), dataset)
        _require_decoder(dataset, str(path))
        return [replace(f, scout=replace(f.scout, pixels=_pixels(dataset, f.index, f.scout.source))) for f in frames]


@contextmanager
def _damage_named(source: str) -> Iterator[None]:
    """Turn what pydicom raises about damaged files into InputError, without pydicom's words."""
    from pydicom.errors import BytesLengthException

    try:
        with quiet_libraries():
            yield
    except (*PARSE_ERRORS, BytesLengthException) as error:
        _log_where(error, source)
        raise InputError("the DICOM file is damaged or cut short", source=source, remedy=_EXPORT_AGAIN) from error


def _open(path: Path, *, headers_only: bool) -> Dataset:
    import pydicom

    dataset = parse_dicom(path, stop_before_pixels=headers_only)
    dataset.file_meta.setdefault("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)
    return dataset


def _read_headers(path: Path, force: bool) -> list[DicomFrame]:
    source = str(path)
    dataset = _open(path, headers_only=True)
    _require_scout(dataset, source, force)
    frames = _frame_count(dataset, source)
    require_sane_size((*_size(dataset), frames), source)
    unread = np.broadcast_to(np.float32(0), _size(dataset))
    return [
        _frame(
            dataset,
            path,
            index,
            ScoutSlice(pixels=unread, **_geometry(dataset, index, _frame_name(source, index, frames))),
        )
        for index in range(frames)
    ]


def _frame(dataset: Dataset, path: Path, index: int, scout: ScoutSlice) -> DicomFrame:
    image_type = _words(_frame_value(dataset, index, "MRImageFrameTypeSequence", "FrameType")) or _words(
        _value(dataset, "ImageType")
    )
    component = _frame_value(dataset, index, "MRImageFrameTypeSequence", "ComplexImageComponent")
    technique = _frame_value(dataset, index, "MRImageFrameTypeSequence", "VolumeBasedCalculationTechnique")
    description = f"{_text(dataset, 'SeriesDescription')} {_text(dataset, 'ProtocolName')}".strip()
    return DicomFrame(
        scout=scout,
        patient=_text(dataset, "PatientID"),
        patient_name=_text(dataset, "PatientName"),
        study=_text(dataset, "StudyInstanceUID"),
        series=_text(dataset, "SeriesInstanceUID"),
        series_number=_text(dataset, "SeriesNumber"),
        frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
        path=path,
        index=index,
        description=description,
        time=_time(dataset),
        kind=kind_of_image(image_type, str(component or ""), str(technique or "")),
        localizer=is_named_localizer(description, image_type),
    )


def _time(dataset: Dataset) -> str:
    """Date and time of the acquisition, else of the series, as text that sorts; empty where no time is stated."""
    together = _text(dataset, "AcquisitionDateTime")
    if together:
        return together
    date = _text(dataset, "AcquisitionDate") or _text(dataset, "SeriesDate")
    time = _text(dataset, "AcquisitionTime") or _text(dataset, "SeriesTime")
    return f"{date}{time}" if time else ""


def _words(value: Any) -> tuple[str, ...]:
    """The words of an attribute that may have one value or several."""
    if value is None or isinstance(value, str):
        return (value,) if value else ()
    return tuple(map(str, value)) if isinstance(value, Iterable) else ()


def _log_where(error: BaseException, source: str) -> None:
    """Log at DEBUG where a library failed, without its message, which may quote header values."""
    where = "".join(traceback.format_tb(error.__traceback__))
    _logger.debug("%s: %s from\n%s", source, type(error).__name__, where)


def stacks_from_frames(frames: Sequence[DicomFrame], source: str) -> list[ScoutStack]:
    """Pool the frames of all files and sort them into stacks by series, frame of reference and orientation.

    Series stay apart, so that a repeated localizer adds stacks instead of mixing slices from before
    and after a movement into one.

    Raises:
        InputError: where they come from several patients or studies.
    """
    require_one_examination(frames, source)
    series: dict[tuple[str, str], list[DicomFrame]] = {}
    for frame in frames:
        series.setdefault((frame.series, frame.frame_of_reference), []).append(frame)
    stacks: list[ScoutStack] = []
    for (_, frame_of_reference), members in series.items():
        name = f"series {members[0].series_number}" if members[0].series_number else "DICOM"
        grouped = group_into_stacks((m.scout for m in members), frame_of_reference or None, name)
        stacks += [replace(stack, series=members[0].series or None) for stack in grouped]
    return stacks


def require_one_examination(frames: Iterable[DicomFrame], source: str) -> None:
    """Raise InputError where the frames come from several patients or studies."""
    frames = list(frames)
    _require_one(_patients(frames), "patients", source)
    _require_one((frame.study for frame in frames), "studies", source)


def _patients(frames: Iterable[DicomFrame]) -> set[str]:
    """Who is shown: by number; a file without one belongs to the number with the same name, or stands for itself."""
    known = {(frame.patient, frame.patient_name) for frame in frames}
    numbers = {number for number, _ in known if number}
    of_numbers = {name for number, name in known if number}
    nameless = {name for number, name in known if not number and name and name not in of_numbers}
    return numbers | nameless


def _require_one(values: Iterable[str], what: str, source: str) -> None:
    count = len({value for value in values if value})
    if count > 1:
        raise InputError(f"the images come from {count} different {what}", source=source, remedy=_ONE_EXAMINATION)


def _require_scout(dataset: Dataset, source: str, force: bool) -> None:
    """Raise NotAScout where the object is not a single-channel MR image."""
    if "DirectoryRecordSequence" in dataset:
        raise NotAScout("a DICOMDIR is an index without images", source=source, remedy="Choose the image folder.")
    if not (_value(dataset, "Rows") and _value(dataset, "Columns")):
        raise _no_image(source, dataset)
    modality = _text(dataset, "Modality")
    if modality != "MR" and not force:
        stated = modality if modality.isalpha() and len(modality) <= 4 else "unknown"
        raise NotAScout(f"the modality is {stated}, not MR", source=source, remedy=f"{_CHOOSE[:-1]}, or force it.")
    if (_value(dataset, "SamplesPerPixel") or 1) != 1:
        raise NotAScout("this is a colour image", source=source, remedy=_CHOOSE)
    if not _is_in_space(dataset):
        raise NotAScout("the image has no position in space (a screenshot?)", source=source, remedy=_CHOOSE)
    if "MOSAIC" in _text(dataset, "ImageType").upper():
        raise NotAScout("this is a mosaic of many slices in one image", source=source, remedy=_CHOOSE)


def _no_image(source: str, dataset: Dataset) -> InputError:
    """What is wrong with an object without an image: an MR image lost it, another object never had one."""
    if _text(dataset, "SOPClassUID") in ("", *_MR_IMAGE_CLASSES):
        return InputError("the image is missing or cut short in this file", source=source, remedy=_EXPORT_AGAIN)
    return NotAScout("this DICOM object does not hold an image", source=source, remedy=_CHOOSE)


def _is_in_space(dataset: Dataset) -> bool:
    """Whether the header states anything about position and orientation: a screenshot does not."""
    groups = "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset
    return groups or "ImagePositionPatient" in dataset or "ImageOrientationPatient" in dataset


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
    """Raise InputError where nothing decodes the compression of the file."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not isinstance(syntax, str):
        raise InputError("the DICOM file is damaged or cut short", source=source, remedy=_EXPORT_AGAIN)
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
        if _pydicom_decodes(dataset.file_meta.TransferSyntaxUID):
            stored = pixel_array(dataset, index=index, raw=True)
        else:
            stored = gdcm_pixels.stored_values(dataset, index, _frame_count(dataset, source))
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
