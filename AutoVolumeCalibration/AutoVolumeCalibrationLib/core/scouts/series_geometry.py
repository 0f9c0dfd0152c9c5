"""Slices and field of view of a finished DICOM series, from its headers: what a site likes to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files.dicom_parsing import parse_dicom, quiet_libraries
from ..files.regular_file import require_there
from ..geometry.coordinates import POSITIVE_SIDES
from ..geometry.oriented_box import OrientedBox
from .dicom import PARSE_ERRORS, DicomFrame, is_dicom, read_dicom_headers
from .phase_encoding import COLUMN, ROW, UNSTATED, PhaseEncoding, read_phase_encoding
from .series import NotAScout
from .stack import ScoutSlice, ScoutStack, group_into_stacks

_REMEDY = "Choose the folder of one series with parallel, evenly spaced slices."

#: Spacings within a series differ by no more than this, mm.
_EVEN_MM = 0.1

#: A smaller phase field of view than this share of the read one, in a square image, is padding.
_FULL = 0.995


@dataclass(frozen=True, eq=False)
class SeriesGeometry:
    """The slices of a series.

    Attributes:
        stack: the slices, sorted along their normal.
        spacing_mm: from centre to centre; the thickness where there is one slice.
        fov_mm: (along the rows of the image, along its columns), without the padding of a square image.
        phase_along: direction of phase encoding in the image (``phase_encoding``).
    """

    stack: ScoutStack
    spacing_mm: float
    fov_mm: tuple[float, float]
    phase_along: str = UNSTATED

    def box(self, name: str) -> OrientedBox:
        """What the slices fill, without the padding of a square image."""
        return box_of_stack(self.stack, name, self.fov_mm)

    @property
    def slice_axis(self) -> str:
        """The axis of the box along which the slices are stacked: right, anterior or superior."""
        return POSITIVE_SIDES[_box_axes(self.stack)[1].index(2)]

    @property
    def phase_axis(self) -> str:
        """The axis of the box along which the phase was encoded; empty where the header does not state it."""
        directions = {ROW: 0, COLUMN: 1}
        if self.phase_along not in directions:
            return ""
        return POSITIVE_SIDES[_box_axes(self.stack)[1].index(directions[self.phase_along])]


def read_series_geometry(path: Path, *, force: bool = False) -> SeriesGeometry:
    """The geometry of the one series at ``path``, a folder or a file.

    Args:
        force: take other modalities than MR too.

    Raises:
        InputError: no DICOM image, several series or orientations, no thickness, or uneven slices.
    """
    frames = _frames(path, force)
    if len({frame.series for frame in frames}) > 1:
        raise InputError("the slices come from several series", source=str(path), remedy=_REMEDY)
    stacks = group_into_stacks(frame.scout for frame in frames)
    if len(stacks) > 1:
        raise InputError("the slices have several orientations", source=str(path), remedy=_REMEDY)
    return series_geometry(stacks[0], str(path))


def series_geometry(stack: ScoutStack, source: str) -> SeriesGeometry:
    """The geometry of the slices of one DICOM series; ``source`` names them in messages.

    Raises:
        InputError: no thickness, or uneven slices.
    """
    if not any(scout_slice.thickness_mm for scout_slice in stack.slices):
        raise InputError("the slice thickness is missing", source=source, remedy=_REMEDY)
    gaps = np.diff(stack.positions_mm)
    if len(gaps) and np.ptp(gaps) > _EVEN_MM:
        raise InputError("the slices are not evenly spaced", source=source, remedy=_REMEDY)
    spacing = float(np.median(gaps)) if len(gaps) else stack.thickness_mm
    phase = _phase_encoding(stack.slices[0])
    return SeriesGeometry(stack, spacing, _field_of_view(stack.slices[0], phase), phase.along)


def box_of_stack(stack: ScoutStack, name: str, fov_mm: tuple[float, float] | None = None) -> OrientedBox:
    """The box that the slices of a stack fill, from outer edge to outer edge.

    Its axes are those of the images, each named right, anterior or superior by the world axis it is nearest to (the
    three together); so they are right-handed whichever way the images were turned.

    Args:
        fov_mm: (along the rows, along the columns), where it is less than the image.
    """
    first, last = stack.slices[0], stack.slices[-1]
    axes, own = _box_axes(stack)
    depth_mm = float((last.origin_mm - first.origin_mm) @ stack.normal) + stack.thickness_mm
    sizes = np.array([*(fov_mm or first.extent_mm[::-1]), depth_mm])
    return OrientedBox(name, (first.center_mm + last.center_mm) / 2, axes, sizes[own])


def _box_axes(stack: ScoutStack) -> tuple[np.ndarray, list[int]]:
    """(3, 3) axes of the box, rows right, anterior, superior; and which direction of the images each of them is.

    The directions are 0: along the rows (growing column), 1: along the columns, 2: the normal.
    """
    from scipy.optimize import linear_sum_assignment

    directions = np.array([stack.slices[0].column_axis, stack.slices[0].row_axis, stack.normal])
    world, own = linear_sum_assignment(-np.abs(directions.T))
    return directions[own] * np.sign(directions[own, world])[:, None], own.tolist()


def manufacturer(stacks: Sequence[ScoutStack]) -> str:
    """Manufacturer in the header of the first slice whose file is DICOM; empty where none is."""
    for stack in stacks:
        header = _header(stack.slices[0], "Manufacturer")
        if header:
            return header["Manufacturer"]
    return ""


def _frames(path: Path, force: bool) -> list[DicomFrame]:
    require_there(path)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    frames: list[DicomFrame] = []
    for file in files:
        if is_dicom(file):
            try:
                frames += read_dicom_headers(file, force=force)
            except NotAScout:
                if len(files) == 1:
                    raise
    if not frames:
        raise InputError("it holds no DICOM image", source=str(path), remedy=_REMEDY)
    return frames


def _phase_encoding(scout_slice: ScoutSlice) -> PhaseEncoding:
    path = dicom_file(scout_slice.source)
    if path is None:
        return PhaseEncoding()
    source = scout_slice.source
    return read_phase_encoding(path, 0 if Path(source).is_file() else int(source.rpartition(" frame ")[2]) - 1)


def _field_of_view(scout_slice: ScoutSlice, phase: PhaseEncoding) -> tuple[float, float]:
    """Lengths along the rows and along the columns; where a square image is padded, what was encoded in phase."""
    columns_mm, rows_mm = scout_slice.extent_mm
    if phase.share >= _FULL or abs(rows_mm - columns_mm) > (1 - phase.share) / 2 * rows_mm:
        return rows_mm, columns_mm
    if phase.along == COLUMN:
        return rows_mm, columns_mm * phase.share
    return (rows_mm * phase.share, columns_mm) if phase.along == ROW else (rows_mm, columns_mm)


def dicom_file(source: str) -> Path | None:
    """The DICOM file behind the ``source`` of a slice; None where it came from something else or is gone."""
    path = Path(source if Path(source).is_file() else source.rpartition(" frame ")[0])
    return path if path.is_file() and is_dicom(path) else None


def _header(scout_slice: ScoutSlice, *keywords: str) -> dict[str, str]:
    """Elements of the DICOM file that the slice came from, as text; those that are missing are left out."""
    path = dicom_file(scout_slice.source)
    if path is None:
        return {}
    try:
        with quiet_libraries():
            dataset = parse_dicom(path, stop_before_pixels=True)
            return {keyword: str(dataset[keyword].value).strip() for keyword in keywords if keyword in dataset}
    except PARSE_ERRORS:
        return {}
