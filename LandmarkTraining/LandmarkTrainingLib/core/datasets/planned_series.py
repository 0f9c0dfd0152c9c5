"""The slices of a planned series, as a data set keeps them beside the reference box: no patient, no date, no UID."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES
from AutoVolumeCalibrationLib.core.scouts.series_geometry import SeriesGeometry

#: Key in a study's provenance.
REFERENCE_SERIES = "reference_series"

#: Decimals of lengths: those of DICOM headers carry rounding errors.
_DECIMALS = 2


@dataclass(frozen=True)
class PlannedSeries:
    """Slices of a series; its field of view is the size of its box.

    Attributes:
        slice_axis: axis of the box along which the slices are stacked.
        phase_axis: axis of the box of phase encoding, empty where the header does not state it.
    """

    slices: int
    slice_thickness_mm: float
    gap_mm: float
    slice_axis: str
    phase_axis: str = ""


def planned_series(geometry: SeriesGeometry) -> PlannedSeries:
    """Overlapping slices (interpolated partitions) count with their spacing as thickness, as for a fixed slab."""
    thickness = min(geometry.stack.thickness_mm, geometry.spacing_mm)
    gap = round(geometry.spacing_mm - thickness, _DECIMALS)
    phase_axis = geometry.phase_axis if geometry.phase_axis != geometry.slice_axis else ""
    slices = len(geometry.stack.slices)
    return PlannedSeries(slices, round(thickness, _DECIMALS), gap, geometry.slice_axis, phase_axis)


def planned_series_to_dict(series: PlannedSeries) -> dict[str, Any]:
    """For the provenance of a study."""
    return asdict(series)


def planned_series_from_dict(entry: Mapping[str, Any]) -> PlannedSeries:
    """The inverse of ``planned_series_to_dict``; KeyError, TypeError or ValueError where the entry is damaged."""
    axis, phase = entry["slice_axis"], entry["phase_axis"]
    slices, thickness, gap = int(entry["slices"]), float(entry["slice_thickness_mm"]), float(entry["gap_mm"])
    if axis not in BOX_AXES or phase not in ("", *BOX_AXES) or phase == axis or slices < 1 or not thickness > 0:
        raise ValueError("not the slices of a series")
    return PlannedSeries(slices, thickness, gap, axis, phase)
