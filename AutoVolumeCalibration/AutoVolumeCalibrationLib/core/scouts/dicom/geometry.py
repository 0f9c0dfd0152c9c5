"""Where a DICOM frame lies in space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ...geometry.coordinates import swap_ras_lps
from ..validation import require_position, require_spacing, square_axes
from .elements import frame_value, numbers_of

if TYPE_CHECKING:
    from pydicom import Dataset


def geometry_of(dataset: Dataset, index: int, source: str) -> dict[str, Any]:
    """ScoutSlice's fields of one frame except its pixels; DICOM's LPS is converted to RAS here."""
    orientation = numbers_of(frame_value(dataset, index, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    position = numbers_of(frame_value(dataset, index, "PlanePositionSequence", "ImagePositionPatient"), 3)
    spacing = numbers_of(frame_value(dataset, index, "PixelMeasuresSequence", "PixelSpacing"), 2)
    thickness = numbers_of(frame_value(dataset, index, "PixelMeasuresSequence", "SliceThickness"), 1)
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
