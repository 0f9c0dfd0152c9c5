"""Images with a position in space (NRRD, NIfTI, MHA, whatever SimpleITK reads) as scouts or volumes.

The header is checked before any pixel is read. Index order: SimpleITK's arrays are (k, j, i); a Volume is (i, j, k).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..files.image_header import POSITIONED, WHOLE_FILE, ImageHeader, judge_header, unpacked_length
from ..geometry.coordinates import swap_ras_lps
from .image_variants import as_nifti_1, nrrd_unit_mm
from .label_images import is_label_image
from .series import NotAScout
from .stack import ScoutStack
from .validation import finite_pixels, require_position, require_sane_size, require_spacing
from .volume import Volume, cut_volume, is_volume, stack_from_volume

if TYPE_CHECKING:
    import SimpleITK

#: What counts as an image file where a whole folder is given.
IMAGE_SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".hdr", ".mnc", ".gipl", ".gipl.gz")

_GREY_VALUES = "Export a grey-value magnitude image."
_stderr_lock = threading.Lock()


def read_image_scouts(path: str | Path) -> list[ScoutStack]:
    """Scouts in an image file: one stack of thick slices, or three stacks cut out of a 3D volume.

    Raises:
        NotAScout: where each pixel holds a label or several numbers, or the image is not a 3D image in space.
        InputError: where the file cannot be read.
    """
    volume = read_volume(path)
    if is_label_image(list(np.moveaxis(volume.array, int(np.argmin(volume.array.shape)), 0))):
        raise NotAScout("this is a label image or a mask", source=str(path), remedy=_GREY_VALUES)
    if is_volume(volume.array.shape, np.linalg.norm(volume.affine[:3, :3], axis=0)):
        return cut_volume(volume)
    return [stack_from_volume(volume, str(path))]


def read_volume(path: str | Path) -> Volume:
    """A 3D image file as float32 volume, array index (i, j, k), affine to RAS mm, named after the file.

    Raises:
        InputError: where the file is not a readable, scalar 3D image with a position in space.
    """
    import SimpleITK as sitk

    source = str(path)
    header = judge_header(Path(path))
    _require_fitting(header, source)
    reader = sitk.ImageFileReader()
    with silent_stderr(), as_nifti_1(Path(path)) as readable:
        reader.SetImageIO(header.reader)
        reader.SetFileName(str(readable))
        _read_header(reader, source)
        _require_scalar_3d(reader, source)
        _require_geometry(reader, source)
        try:
            image = reader.Execute()
        except (RuntimeError, MemoryError) as error:
            raise InputError("the image data are damaged or cut short", source=source, remedy=WHOLE_FILE) from error
    array = finite_pixels(sitk.GetArrayViewFromImage(image), source).T
    affine = _affine_ras(reader)
    if _metadata(reader, "NRRD_space") is not None:
        affine[:3] *= nrrd_unit_mm(Path(path))
    return Volume(array, affine, Path(path).name)


def _read_header(reader: SimpleITK.ImageFileReader, source: str) -> None:
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if "orthonormal" in str(error):
            what, remedy = "the image axes are not perpendicular to each other", "Export it again without shear."
        else:
            what, remedy = "the image header is damaged or states no usable geometry", WHOLE_FILE
        raise InputError(what, source=source, remedy=remedy) from error


def _require_scalar_3d(reader: SimpleITK.ImageFileReader, source: str) -> None:
    import SimpleITK as sitk

    if reader.GetDimension() == 2:
        raise NotAScout("this image has no position in space", source=source, remedy=POSITIONED)
    if reader.GetDimension() != 3:
        raise NotAScout(
            f"the image has {reader.GetDimension()} dimensions, a scout has 3",
            source=source,
            remedy="Export one 3D image, a single time point.",
        )
    complex_types = (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)
    if reader.GetNumberOfComponents() != 1 or reader.GetPixelIDValue() in complex_types:
        raise NotAScout(
            "each pixel holds several numbers (colour, vector or complex)", source=source, remedy=_GREY_VALUES
        )
    require_sane_size(reader.GetSize(), source)


def _require_geometry(reader: SimpleITK.ImageFileReader, source: str) -> None:
    require_spacing(reader.GetSpacing(), source)
    affine = _affine_ras(reader)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3] / reader.GetSpacing())) < 1e-2:
        raise InputError(
            "position or orientation is missing or invalid", source=source, remedy="Export it again with geometry."
        )
    require_position(affine[:3, 3], source)
    if _metadata(reader, "qform_code") == "0" and _metadata(reader, "sform_code") == "0":
        raise InputError("this NIfTI file has no position in space", source=source, remedy=POSITIONED)
    # SimpleITK turns right/left-anterior/posterior-superior spaces into this one and leaves all others as they are.
    if reader.GetImageIO() == "NrrdImageIO" and _metadata(reader, "NRRD_space") != "left-posterior-superior":
        raise InputError(
            "this NRRD file does not state how its space is oriented to the patient",
            source=source,
            remedy="Write it with 'space: left-posterior-superior'.",
        )


def _require_fitting(header: ImageHeader, source: str) -> None:
    """Raise InputError where the stated size is not that of a scout, or more than the file holds.

    SimpleITK would reserve memory for the first, and read a truncated NIfTI file as zeros.
    """
    if header.size:
        require_sane_size(header.size, source, header.pixel_bytes)
    if header.needed_bytes and unpacked_length(header.data_file, header.needed_bytes) < header.needed_bytes:
        raise InputError("the image data are damaged or cut short", source=source, remedy=WHOLE_FILE)


def _metadata(reader: SimpleITK.ImageFileReader, key: str) -> str | None:
    return reader.GetMetaData(key) if reader.HasMetaDataKey(key) else None


def _affine_ras(reader: SimpleITK.ImageFileReader) -> np.ndarray:
    """(4, 4) from index (i, j, k) to RAS mm."""
    directions = np.reshape(reader.GetDirection(), (3, 3)) * reader.GetSpacing()
    affine = np.eye(4)
    affine[:3, :3] = swap_ras_lps(directions.T).T
    affine[:3, 3] = swap_ras_lps(reader.GetOrigin())
    return affine


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Keep what the image libraries print by themselves, beside their exceptions, off the terminal.

    They write to the process's file descriptor, so Python's own redirection does not reach it. The
    lock keeps two threads from restoring each other's descriptor.
    """
    with _stderr_lock:
        try:
            kept = os.dup(2)
        except OSError:  # a windowed application may have no standard error at all: nothing to silence
            yield
            return
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(sink, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(sink)
