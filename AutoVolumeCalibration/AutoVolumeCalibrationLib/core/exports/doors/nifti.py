"""The planned grid as an image without content: every viewer lays it over the scouts, every tool resamples to it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..scan_geometry import ScanGeometry

#: Voxels in the plane have about this size; the field of view holds a whole number of them.
PIXEL_MM = 1.0

#: The NIfTI header has no field for the gap between slices: the description states both.
_DESCRIPTION = re.compile(r"planned volume, slice thickness (?P<thickness>[\d.eE+-]+) mm, gap (?P<gap>[\d.eE+-]+) mm")
_DESCRIPTION_FIELD = "ITK_FileNotes"


def write_nifti(geometry: ScanGeometry, path: Path) -> None:
    """Write the grid as a NIfTI image of ones, axes read, phase, slice; sform and qform state its place in RAS."""
    import SimpleITK as sitk

    in_plane = np.maximum(1, np.round(geometry.fov_mm[:2] / PIXEL_MM)).astype(int)
    columns, rows = (int(count) for count in in_plane)
    image = sitk.GetImageFromArray(np.ones((geometry.slices, rows, columns), dtype=np.uint8))
    spacing = np.array([*(geometry.fov_mm[:2] / in_plane), geometry.spacing_mm])
    image.SetSpacing(spacing.tolist())
    image.SetDirection(geometry.directions.T.ravel().tolist())  # columns are the directions, LPS
    middle = (np.array([columns, rows, geometry.slices]) - 1) / 2
    image.SetOrigin((geometry.center_mm - (middle * spacing) @ geometry.directions).tolist())
    image.SetMetaData(
        _DESCRIPTION_FIELD,
        f"planned volume, slice thickness {geometry.thickness_mm:.6g} mm, gap {geometry.gap_mm:.6g} mm",
    )
    sitk.WriteImage(image, str(path))


def read_nifti(path: Path) -> ScanGeometry:
    """The geometry of an image that ``write_nifti`` wrote; of another the slices are taken to fill their spacing.

    Raises:
        InputError: it cannot be read, or is not three-dimensional.
    """
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError("cannot be read as an image", source=str(path), remedy="Give a NIfTI file.") from error
    if image.GetDimension() != 3:
        raise InputError("is not a 3D image", source=str(path), remedy="Give a NIfTI file with three axes.")
    directions = np.array(image.GetDirection()).reshape(3, 3).T
    spacing, size = np.array(image.GetSpacing()), np.array(image.GetSize())
    stated = image.GetMetaData(_DESCRIPTION_FIELD) if image.HasMetaDataKey(_DESCRIPTION_FIELD) else ""
    known = _DESCRIPTION.search(stated)
    thickness, gap = (float(known["thickness"]), float(known["gap"])) if known else (float(spacing[2]), 0.0)
    slab = int(size[2]) * thickness + (int(size[2]) - 1) * gap
    center = np.array(image.GetOrigin()) + ((size - 1) / 2 * spacing) @ directions
    fov = np.array([size[0] * spacing[0], size[1] * spacing[1], slab])
    return ScanGeometry(center, directions, fov, int(size[2]), thickness, gap)
