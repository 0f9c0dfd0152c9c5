"""Variants of image formats that SimpleITK does not read as they are: NIfTI-2, and NRRD in other units than mm."""

from __future__ import annotations

import gzip
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np

from ..errors import InputError

_GZIP = b"\x1f\x8b"

#: The fields of both headers, in order, from nifti1.h and nifti2.h of the NIfTI data format working group.
_NIFTI_2 = (
    *(("sizeof_hdr", "i4"), ("magic", "S8"), ("datatype", "i2"), ("bitpix", "i2"), ("dim", "i8", 8)),
    *(("intent_p", "f8", 3), ("pixdim", "f8", 8), ("vox_offset", "i8"), ("scl_slope", "f8"), ("scl_inter", "f8")),
    *(("cal_max", "f8"), ("cal_min", "f8"), ("slice_duration", "f8"), ("toffset", "f8"), ("slice_start", "i8")),
    *(("slice_end", "i8"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "i4"), ("sform_code", "i4")),
    *(("quatern", "f8", 3), ("qoffset", "f8", 3), ("srow", "f8", 12), ("slice_code", "i4"), ("xyzt_units", "i4")),
    *(("intent_code", "i4"), ("intent_name", "S16"), ("dim_info", "u1"), ("unused", "S15")),
)
_NIFTI_1 = (
    *(("sizeof_hdr", "i4"), ("data_type", "S10"), ("db_name", "S18"), ("extents", "i4"), ("session_error", "i2")),
    *(("regular", "S1"), ("dim_info", "u1"), ("dim", "i2", 8), ("intent_p", "f4", 3), ("intent_code", "i2")),
    *(("datatype", "i2"), ("bitpix", "i2"), ("slice_start", "i2"), ("pixdim", "f4", 8), ("vox_offset", "f4")),
    *(("scl_slope", "f4"), ("scl_inter", "f4"), ("slice_end", "i2"), ("slice_code", "u1"), ("xyzt_units", "u1")),
    *(("cal_max", "f4"), ("cal_min", "f4"), ("slice_duration", "f4"), ("toffset", "f4"), ("glmax", "i4")),
    *(("glmin", "i4"), ("descrip", "S80"), ("aux_file", "S24"), ("qform_code", "i2"), ("sform_code", "i2")),
    *(("quatern", "f4", 3), ("qoffset", "f4", 3), ("srow", "f4", 12), ("intent_name", "S16"), ("magic", "S4")),
)
_HEADER_1, _HEADER_2, _DATA_1 = 348, 540, 352

#: mm per unit of ``space units``, as scanners and simulators write them.
_UNITS_MM = {"": 1.0, "mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "meter": 1000.0, "um": 1e-3, "µm": 1e-3}
_LONGEST_HEADER = 1 << 20


@contextmanager
def as_nifti_1(path: Path) -> Iterator[Path]:
    """``path`` itself, or, where it is a NIfTI-2 file, a NIfTI-1 file of the same content that exists meanwhile."""
    order = _nifti_2_byte_order(path)
    if order is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "image.nii"
        with open_unpacked(path) as source, open(converted, "wb") as target:
            _convert(source, target, order, str(path))
        yield converted


def open_unpacked(path: Path) -> BinaryIO:
    """The file's bytes, unpacked where it is gzipped, whatever its name says."""
    with open(path, "rb") as file:
        packed = file.read(2) == _GZIP
    return cast(BinaryIO, gzip.open(path)) if packed else open(path, "rb")


def nrrd_unit_mm(path: Path) -> float:
    """mm per unit of an NRRD file's geometry, which SimpleITK reads as mm whatever it is; 1 where none is stated.

    Raises:
        InputError: the unit is unknown, or differs between the axes.
    """
    with open(path, "rb") as file:
        header = file.read(_LONGEST_HEADER).partition(b"\n\n")[0].decode("utf-8", "replace")
    lines = [line.partition(":")[2] for line in header.splitlines() if line.lower().startswith("space units:")]
    units = {unit.strip().lower() for unit in lines[0].replace('"', " ").split()} if lines else {"mm"}
    known = {_UNITS_MM.get(unit) for unit in units}
    factor = known.pop() if len(known) == 1 else None
    if factor is None:
        raise InputError(
            "the unit of the image's geometry is unknown", source=str(path), remedy="Export it with its geometry in mm."
        )
    return factor


def _nifti_2_byte_order(path: Path) -> str | None:
    """``<`` or ``>``, None where the file is not NIfTI-2 in one file."""
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return None
    try:
        with open_unpacked(path) as file:
            start = file.read(8)
    except (OSError, EOFError):  # a damaged file is SimpleITK's to name
        return None
    if start[4:7] != b"n+2":
        return None
    return next((order for order in "<>" if np.frombuffer(start[:4], f"{order}i4")[0] == _HEADER_2), None)


def _convert(source: IO[bytes], target: IO[bytes], order: str, name: str) -> None:
    head = source.read(_HEADER_2)
    if len(head) < _HEADER_2:
        raise InputError(
            "the image data are damaged or cut short", source=name, remedy="Copy or export the file again."
        )
    old = np.frombuffer(head, _layout(_NIFTI_2, order))[0]
    new = np.zeros((), _layout(_NIFTI_1, order))
    shared = {field[0] for field in _NIFTI_1} & {field[0] for field in _NIFTI_2}
    # Sizes beyond 16 bits become others here and are refused later: the file is then too short or too long for them.
    with np.errstate(all="ignore"):
        for field in shared:
            new[field] = old[field]
    new["sizeof_hdr"], new["magic"], new["vox_offset"] = _HEADER_1, b"n+1", _DATA_1
    source.read(max(0, int(old["vox_offset"]) - _HEADER_2))
    target.write(new.tobytes().ljust(_DATA_1, b"\0"))
    count, *extents = map(int, old["dim"])
    _copy(source, target, math.prod(extents[:count]) * int(old["bitpix"]) // 8)


def _copy(source: IO[bytes], target: IO[bytes], length: int) -> None:
    """The next ``length`` bytes and no more: a packed file may unpack to any size."""
    while length > 0 and (chunk := source.read(min(length, 1 << 20))):
        target.write(chunk)
        length -= len(chunk)


def _layout(fields: tuple[tuple[object, ...], ...], order: str) -> np.dtype:
    return np.dtype([(name, f"{order}{kind}", *rest) for name, kind, *rest in fields])
