"""A site's own slices and field of view, kept for every patient."""

from __future__ import annotations

from ..anatomy.protocol import BOX_AXES, BoxRule, FixedSlab
from ..errors import UsageError
from ..geometry.coordinates import swap_ras_lps
from ..scouts.series_geometry import SeriesGeometry
from .prescription import box_from_dicom_geometry

#: Box axis along which the slices of a plane are stacked.
_SLICE_AXES = {"sagittal": "right", "coronal": "anterior", "axial": "superior"}

#: Decimals of lengths: those of DICOM headers carry rounding errors.
_DECIMALS = 3


def slab_of_series(series: SeriesGeometry, rule: BoxRule) -> FixedSlab:
    """The slab that repeats ``series`` in the directions of ``rule``.

    Overlapping slices (interpolated partitions) count with their spacing as thickness.

    Raises:
        UsageError: the slices of the series are stacked along another axis than the rule's.
    """
    stack = series.stack
    if _SLICE_AXES[stack.plane] != rule.slice_axis:
        wanted = next(plane for plane, axis in _SLICE_AXES.items() if axis == rule.slice_axis)
        raise UsageError(
            f"the slices of the series are {stack.plane}, those of box {rule.name} are {wanted}",
            remedy="Choose another series or another protocol.",
        )
    first, last = stack.slices[0], stack.slices[-1]
    thickness = min(stack.thickness_mm, series.spacing_mm)
    box = box_from_dicom_geometry(
        (*swap_ras_lps(first.column_axis), *swap_ras_lps(first.row_axis)),
        swap_ras_lps(first.origin_mm).tolist(),
        swap_ras_lps(last.origin_mm).tolist(),
        series.fov_mm,
        thickness,
        slice_axis=rule.slice_axis,
    )
    return FixedSlab(
        len(stack.slices),
        round(thickness, _DECIMALS),
        round(series.spacing_mm - thickness, _DECIMALS),
        round(float(box.size_mm[BOX_AXES.index(rule.read_axis)]), _DECIMALS),
        round(float(box.size_mm[BOX_AXES.index(rule.phase_axis)]), _DECIMALS),
    )
