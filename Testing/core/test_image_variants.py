"""Variants of image formats that scanners' users bring along read like the plain ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.image_file import read_volume
from AutoVolumeCalibrationLib.core.scouts.image_variants import _NIFTI_1, _NIFTI_2, _layout
from scout_files import tiny_stacks, write_image, write_nrrd

GEOMETRY = ("space: left-posterior-superior", "space directions: (2,0,0) (0,2,0) (0,0,5)", "space origin: (10,20,30)")
IN_METRES = (
    "space: left-posterior-superior",
    "space directions: (0.002,0,0) (0,0.002,0) (0,0,0.005)",
    "space origin: (0.01,0.02,0.03)",
)


def as_nifti_2(path: Path, order: str) -> bytes:
    """The content of a little-endian NIfTI-1 file as NIfTI-2."""
    content = path.read_bytes()
    old = np.frombuffer(content[:348], _layout(_NIFTI_1, "<"))[0]
    new = np.zeros((), _layout(_NIFTI_2, order))
    for field in {name for name, *_ in _NIFTI_1} & {name for name, *_ in _NIFTI_2}:
        new[field] = old[field]
    new["sizeof_hdr"], new["magic"], new["vox_offset"] = 540, b"n+2\0\r\n\x1a\n", 544
    pixels = np.frombuffer(content[352:], "<i2").astype(f"{order}i2")
    return new.tobytes() + bytes(4) + pixels.tobytes()


def assert_alike(path: Path, expected: Path) -> None:
    found, known = read_volume(path), read_volume(expected)
    np.testing.assert_array_equal(found.array, known.array)
    np.testing.assert_allclose(found.affine, known.affine, atol=1e-4)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_image(tiny_stacks()[2], tmp_path / "plain.nii")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
def test_nifti_2_is_read(tmp_path: Path, plain: Path, order: str, packed: bool) -> None:
    content = as_nifti_2(plain, order)
    path = tmp_path / ("two.nii.gz" if packed else "two.nii")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert_alike(path, plain)


def test_nifti_2_that_is_cut_short_is_refused(tmp_path: Path, plain: Path) -> None:
    for length in (100, 560):
        (tmp_path / "two.nii").write_bytes(as_nifti_2(plain, "<")[:length])
        with pytest.raises(InputError, match="two.nii: .*cut short"):
            read_volume(tmp_path / "two.nii")


def test_a_name_that_promises_gzip_does_not_have_to_keep_it(tmp_path: Path, plain: Path) -> None:
    (tmp_path / "plain.nii.gz").write_bytes(plain.read_bytes())
    assert_alike(tmp_path / "plain.nii.gz", plain)


@pytest.mark.parametrize("unit", ["m", "meter"])
def test_nrrd_in_metres_is_read_in_mm(tmp_path: Path, unit: str) -> None:
    units = " ".join(3 * [f'"{unit}"'])
    path = write_nrrd(tmp_path / "m.nrrd", (*IN_METRES, f"space units: {units}"))
    assert_alike(path, write_nrrd(tmp_path / "mm.nrrd", GEOMETRY))


def test_nrrd_in_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    path = write_nrrd(tmp_path / "ft.nrrd", (*GEOMETRY, 'space units: "ft" "ft" "ft"'))
    with pytest.raises(InputError, match="unit"):
        read_volume(path)
