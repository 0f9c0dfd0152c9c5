"""Slices and field of view of a finished DICOM series, from its headers: what a site likes to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files.dicom_parsing import parse_dicom, quiet_libraries
from ..geometry.oriented_box import OrientedBox
from .dicom import PARSE_ERRORS, DicomFrame, is_dicom, read_dicom_frames
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
    """

    stack: ScoutStack
    spacing_mm: float
    fov_mm: tuple[float, float]


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
    stack = stacks[0]
    if not any(scout_slice.thickness_mm for scout_slice in stack.slices):
        raise InputError("the slice thickness is missing", source=str(path), remedy=_REMEDY)
    gaps = np.diff(stack.positions_mm)
    if len(gaps) and np.ptp(gaps) > _EVEN_MM:
        raise InputError("the slices are not evenly spaced", source=str(path), remedy=_REMEDY)
    spacing = float(np.median(gaps)) if len(gaps) else stack.thickness_mm
    return SeriesGeometry(stack, spacing, _field_of_view(stack.slices[0]))


def box_of_stack(stack: ScoutStack, name: str) -> OrientedBox:
    """The box that the slices of a stack fill, from outer edge to outer edge.

    Its axes are those of the images, each named right, anterior or superior by the world axis it is nearest to (the
    three together); so they are right-handed whichever way the images were turned.
    """
    from scipy.optimize import linear_sum_assignment

    first, last = stack.slices[0], stack.slices[-1]
    directions = np.array([first.column_axis, first.row_axis, stack.normal])
    depth_mm = float((last.origin_mm - first.origin_mm) @ stack.normal) + stack.thickness_mm
    down_mm, across_mm = first.extent_mm
    sizes = np.array([across_mm, down_mm, depth_mm])
    world, own = linear_sum_assignment(-np.abs(directions.T))
    axes = directions[own] * np.sign(directions[own, world])[:, None]
    return OrientedBox(name, (first.center_mm + last.center_mm) / 2, axes, sizes[own])


def manufacturer(stacks: Sequence[ScoutStack]) -> str:
    """Manufacturer in the header of the first slice whose file is DICOM; empty where none is."""
    for stack in stacks:
        header = _header(stack.slices[0], "Manufacturer")
        if header:
            return header["Manufacturer"]
    return ""


def _frames(path: Path, force: bool) -> list[DicomFrame]:
    if not path.exists():
        raise InputError("the file or folder does not exist", source=str(path), remedy="Check the path.")
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    frames: list[DicomFrame] = []
    for file in files:
        if is_dicom(file):
            try:
                frames += read_dicom_frames(file, force=force)
            except NotAScout:
                if len(files) == 1:
                    raise
    if not frames:
        raise InputError("it holds no DICOM image", source=str(path), remedy=_REMEDY)
    return frames


def _field_of_view(scout_slice: ScoutSlice) -> tuple[float, float]:
    """Lengths along the rows and along the columns; where a square image is padded, what was encoded in phase."""
    columns_mm, rows_mm = scout_slice.extent_mm
    header = _header(scout_slice, "PercentPhaseFieldOfView", "InPlanePhaseEncodingDirection")
    try:
        share = float(header["PercentPhaseFieldOfView"]) / 100
    except (KeyError, ValueError):
        return rows_mm, columns_mm
    if not 0 < share < _FULL or abs(rows_mm - columns_mm) > (1 - share) / 2 * rows_mm:
        return rows_mm, columns_mm
    direction = header.get("InPlanePhaseEncodingDirection", "")
    # COLUMN, or COL: phase is encoded along a column, that is down the rows.
    if direction.startswith("COL"):
        return rows_mm, columns_mm * share
    return (rows_mm * share, columns_mm) if direction == "ROW" else (rows_mm, columns_mm)


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
