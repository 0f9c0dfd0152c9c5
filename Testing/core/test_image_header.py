"""Headers that end, hang or fill the process that reads them are refused before an image library sees them."""

from __future__ import annotations

import gzip
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.image_header import judge_header
from AutoVolumeCalibrationLib.core.scouts import image_file
from AutoVolumeCalibrationLib.core.scouts.image_file import read_volume
from scout_files import tiny_stacks, write_image

META = {
    "ObjectType": "Image",
    "NDims": "3",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "0 0 0",
    "ElementSpacing": "1 1 5",
    "DimSize": "4 4 3",
    "ElementType": "MET_UCHAR",
    "ElementDataFile": "LOCAL",
}
NRRD = {
    "type": "uchar",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "4 4 3",
    "space directions": "(1,0,0) (0,1,0) (0,0,5)",
    "encoding": "raw",
    "space origin": "(0,0,0)",
}


def write_meta(path: Path, data: bytes = bytes(48), **changes: str) -> Path:
    fields = {**META, **changes}
    fields["ElementDataFile"] = fields.pop("ElementDataFile")  # the last line, whatever was added
    path.write_bytes("".join(f"{name} = {value}\n" for name, value in fields.items()).encode("latin-1") + data)
    return path


def write_nrrd(path: Path, data: bytes = bytes(48), **changes: str) -> Path:
    fields = {**NRRD, **{name.replace("_", " "): value for name, value in changes.items()}}
    lines = "".join(f"{name}: {value}\n" for name, value in fields.items())
    path.write_bytes(f"NRRD0004\n{lines}\n".encode("latin-1") + data)
    return path


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image library would end or hang this process: the test fails where it is called."""
    monkeypatch.setattr(sitk, "ImageFileReader", lambda: pytest.fail("the image library saw the file"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"NDims": "-1"}, "NDims"),
        ({"NDims": "0"}, "NDims"),
        ({"NDims": "4096 4096 32"}, "NDims"),
        ({"NDims": "1" * 400}, "NDims"),
        ({"NDims": "2"}, "DimSize"),
        ({"DimSize": "4 4"}, "DimSize"),
        ({"DimSize": "4 4 -3"}, "DimSize"),
        ({"DimSize": "4 4 3 3"}, "DimSize"),
        ({"DimSize": "0 4 3"}, "empty image"),
        ({"DimSize": "4096 4096 4096"}, "far more than any scout"),
        ({"DimSize": "4 4 4"}, "cut short"),
        ({"ElementType": "MET_AAAA"}, "ElementType"),
        ({"ElementNumberOfChannels": "1000000000"}, "ElementNumberOfChannels"),
        ({"ElementSpacing": "1 1"}, "ElementSpacing"),
        ({"ElementSpacing": "1 1 1e999"}, "ElementSpacing"),
        ({"TransformMatrix": "1 0 0"}, "TransformMatrix"),
        ({"HeaderSize": "99999999999"}, "HeaderSize"),
        ({"CompressedData": "True", "CompressedDataSize": "999999999"}, "packed data"),
        ({"Comment": "A" * 5000}, "line|not text"),
        ({"Comment\x07": "A"}, "not text"),
        ({"N" * 500: "A"}, "line"),
        ({"ElementDataFile": "LIST"}, "ElementDataFile"),
        ({"ElementDataFile": "slice_%03d.raw 1 3 1"}, "ElementDataFile"),
        ({"ElementDataFile": "../secret.raw"}, "another folder"),
        ({"ElementDataFile": "/etc/passwd"}, "another folder"),
        ({"ElementDataFile": "none.raw"}, "No such file"),
        ({"ElementDataFile": "pipe"}, "not a regular file"),
        ({"ElementDataFile": "device"}, "not a regular file"),
    ],
)
@pytest.mark.usefixtures("no_library")
def test_a_meta_image_is_judged(tmp_path: Path, changes: dict[str, str], said: str):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    with pytest.raises(InputError, match=said):
        read_volume(write_meta(tmp_path / "a.mha", **changes))


@pytest.mark.usefixtures("no_library")
def test_a_meta_image_states_its_dimensions_before_what_they_count(tmp_path: Path):
    (tmp_path / "a.mha").write_bytes(b"DimSize = 4 4 3\nNDims = 3\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n")
    with pytest.raises(InputError, match="NDims"):
        read_volume(tmp_path / "a.mha")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dimension": "A" * 300000}, "not text"),
        ({"dimension": "AAAA"}, "dimension"),
        ({"dimension": "0"}, "dimension"),
        ({"dimension": "99"}, "dimension"),
        ({"dimension": "2"}, "sizes"),
        ({"sizes": "4 4"}, "sizes"),
        ({"sizes": "4 4 99999999999999999999"}, "sizes"),
        ({"sizes": "4 4 0"}, "empty image"),
        ({"sizes": "4000 4000 4000"}, "far more than any scout"),
        ({"sizes": "4 4 4"}, "cut short"),
        ({"type": "block"}, "type"),
        ({"encoding": "magic"}, "encoding"),
        ({"space_directions": "(1,0,0) (0,1,0)"}, "space directions"),
        ({"space_directions": "(1,0,0) (0,1,0) (0,0,1e999)"}, "space directions"),
        ({"space_directions": "(1,0) (0,1,0) (0,0,1)"}, "space directions"),
        ({"space_origin": "(0,0,0) (0,0,0)"}, "space origin"),
        ({"kinds": "domain"}, "kinds"),
        ({"unicorn": "yes"}, "line"),
        ({"byte_skip": "99999999999"}, "byte skip"),
        ({"data_file": "LIST"}, "data file"),
        ({"data_file": "a%d.raw 1 3 1"}, "data file"),
        ({"data_file": "../a.raw"}, "another folder"),
        ({"data_file": "pipe"}, "not a regular file"),
    ],
)
@pytest.mark.usefixtures("no_library")
def test_a_nrrd_is_judged(tmp_path: Path, changes: dict[str, str], said: str):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=said):
        read_volume(write_nrrd(tmp_path / "a.nrrd", **changes))


def patched_nifti(path: Path, offset: int, kind: str, value: float) -> Path:
    write_image(tiny_stacks()[2], path)
    content = bytearray(path.read_bytes())
    struct.pack_into(kind, content, offset, value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ((40, "<h", 0), "number of dimensions"),
        ((40, "<h", -1), "number of dimensions"),
        ((40, "<h", 20000), "number of dimensions"),
        ((42, "<h", 0), "empty image"),
        ((42, "<h", -5), "empty image"),
        ((42, "<h", 32000), "far more than any scout"),
        ((70, "<h", 7777), "type of the pixels"),
        ((72, "<h", 8), "type of the pixels"),
        ((80, "<f", float("nan")), "pixel spacing"),
        ((108, "<f", float("inf")), "start of the data"),
        ((108, "<f", 3e9), "start of the data"),
        ((108, "<f", -5.0), "start of the data"),
        ((344, "<h", 0), "no position in space"),
    ],
)
@pytest.mark.usefixtures("no_library")
def test_a_nifti_is_judged(tmp_path: Path, patch: tuple, said: str):
    with pytest.raises(InputError, match=said):
        read_volume(patched_nifti(tmp_path / "a.nii", *patch))


@pytest.mark.usefixtures("no_library")
def test_a_packed_image_is_refused_by_the_size_that_it_states(tmp_path: Path):
    """Half a megabyte on disk, gigabytes in memory."""
    path = write_image(tiny_stacks()[2], tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<3h", content, 42, 1024, 1024, 500)
    with gzip.open(tmp_path / "bomb.nii.gz", "wb") as stream:
        stream.write(content)
    with pytest.raises(InputError, match="far more than any scout"):
        read_volume(tmp_path / "bomb.nii.gz")


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x1f\x8bbroken", b"\x89HDF\r\n", b"# vtk DataFile Version 3.0\n", bytes(400)]
)
@pytest.mark.usefixtures("no_library")
def test_what_is_of_no_known_kind_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(InputError):
        read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(
    "suffix", [".nrrd", ".nhdr", ".nii", ".nii.gz", ".hdr", ".mha", ".mhd", ".gipl", ".gipl.gz", ".mnc"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_the_library_writes_passes(tmp_path: Path, suffix: str, packed: bool):
    pixels = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(tmp_path / f"a{suffix}"), packed)
    started = time.perf_counter()
    judge_header(tmp_path / f"a{suffix}")
    assert time.perf_counter() - started < 0.05
    np.testing.assert_allclose(read_volume(tmp_path / f"a{suffix}").array.T, pixels, atol=1e-6)


@pytest.mark.parametrize(
    "kind", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64, np.float64]
)
@pytest.mark.parametrize("suffix", [".nrrd", ".nii", ".mha"])
def test_every_type_of_pixel_passes(tmp_path: Path, suffix: str, kind: type):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 4, 5), kind)), str(tmp_path / f"a{suffix}"))
    assert read_volume(tmp_path / f"a{suffix}").array.shape == (5, 4, 3)


def test_the_plain_files_of_these_tests_are_read(tmp_path: Path):
    """So it is the change that is refused."""
    for path in (write_meta(tmp_path / "a.mha"), write_nrrd(tmp_path / "a.nrrd")):
        assert read_volume(path).array.shape == (4, 4, 3)


def test_an_uncompressed_file_that_is_named_gz_is_read(tmp_path: Path):
    write_image(tiny_stacks()[2], tmp_path / "a.nii").rename(tmp_path / "a.nii.gz")
    assert image_file.read_volume(tmp_path / "a.nii.gz").array.size
