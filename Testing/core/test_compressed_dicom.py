"""Compressed DICOM: the pixels come back exactly, with the rescale and photometric rules of uncompressed files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.scouts.dicom import read_dicom_frames
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from dicom_localizers import write_localizer
from scout_files import tiny_stacks

#: SimpleITK's names for JPEG Lossless (first-order prediction) and JPEG 2000 lossless.
COMPRESSORS = {"JPEG": "1.2.840.10008.1.2.4.70", "JPEG2000": "1.2.840.10008.1.2.4.90"}


def compressed_frame(pixels: np.ndarray, compressor: str, folder: Path) -> bytes:
    """The bytes of one compressed frame."""
    import pydicom
    import SimpleITK as sitk
    from pydicom.encaps import get_frame

    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.SetFileName(str(folder / "compressed.dcm"))
    writer.Execute(sitk.GetImageFromArray(pixels[None]))
    dataset = pydicom.dcmread(folder / "compressed.dcm")
    assert dataset.file_meta.TransferSyntaxUID == COMPRESSORS[compressor]
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


def compress(path: Path, target: Path, compressor: str) -> Path:
    """A copy of a DICOM file with compressed pixels and the header as it is."""
    import pydicom
    from pydicom.encaps import encapsulate

    dataset = pydicom.dcmread(path)
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    dataset.PixelData = encapsulate([compressed_frame(frame, compressor, target.parent) for frame in frames])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = COMPRESSORS[compressor]
    dataset.save_as(target)
    return target


def pixels_of(path: Path) -> list[np.ndarray]:
    return [frame.scout.pixels for frame in read_dicom_frames(path)]


@pytest.mark.parametrize("compressor", COMPRESSORS)
@pytest.mark.parametrize("multiframe", [False, True])
@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_compressed_pixels_come_back_exactly(tmp_path: Path, compressor: str, multiframe: bool, dtype: type) -> None:
    path = write_localizer(tiny_stacks(), tmp_path / "plain", multiframe=multiframe, dtype=dtype)[0]
    np.testing.assert_array_equal(pixels_of(compress(path, tmp_path / "c.dcm", compressor)), pixels_of(path))


@pytest.mark.parametrize("values", [{"RescaleSlope": "2", "RescaleIntercept": "-300"}, {"Photometric": "MONOCHROME1"}])
def test_rescale_and_photometric_rules_stay(tmp_path: Path, values: dict) -> None:
    def edit(dataset: object, _index: int) -> None:
        dataset.PixelData = (dataset.pixel_array.astype("<i2") - 200).tobytes()
        dataset.PhotometricInterpretation = values.get("Photometric", "MONOCHROME2")
        dataset.RescaleSlope, dataset.RescaleIntercept = values.get("RescaleSlope", "1"), "-300"

    path = write_localizer(tiny_stacks(1), tmp_path / "plain", edit=edit)[0]
    np.testing.assert_array_equal(pixels_of(compress(path, tmp_path / "c.dcm", "JPEG")), pixels_of(path))


def test_a_compressed_study_reads_like_the_plain_one(tmp_path: Path) -> None:
    sample = resource_path("SampleData", "ColinScouts", "dicom")
    (tmp_path / "study").mkdir()
    for path in sorted(sample.iterdir()):
        compress(path, tmp_path / path.name, "JPEG").rename(tmp_path / "study" / path.name)
    for a, b in zip(read_scouts([sample]), read_scouts([tmp_path / "study"]), strict=True):
        assert a.pixel_digest == b.pixel_digest


def test_damaged_compressed_pixels_are_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    import pydicom

    path = write_localizer(tiny_stacks(1), tmp_path / "plain")[0]
    dataset = pydicom.dcmread(compress(path, tmp_path / "c.dcm", "JPEG"))
    dataset.PixelData = dataset.PixelData[:40] + bytes(len(dataset.PixelData) - 40)
    dataset.save_as(tmp_path / "c.dcm")
    capfd.readouterr()
    with pytest.raises(InputError, match="pixel data are damaged"):
        read_dicom_frames(tmp_path / "c.dcm")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "tool", [("gdcmconv", "--jpegls"), ("dcmcjpls",), ("dcmcjpeg", "+el"), ("dcmcjpeg", "+e1"), ("gdcmconv", "--rle")]
)
def test_what_other_programs_compress_comes_back_exactly(tmp_path: Path, tool: tuple[str, ...]) -> None:
    if shutil.which(tool[0]) is None:
        pytest.skip(f"needs {tool[0]} (gdcm-tools, dcmtk)")
    path = write_localizer(tiny_stacks(1), tmp_path / "plain")[0]
    subprocess.run([*tool, path, tmp_path / "c.dcm"], check=True, timeout=60)
    np.testing.assert_array_equal(pixels_of(tmp_path / "c.dcm"), pixels_of(path))
