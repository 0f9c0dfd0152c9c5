"""DICOM files are parsed within limits, and what the libraries say about them reaches nobody."""

from __future__ import annotations

import logging
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files import dicom_parsing
from AutoVolumeCalibrationLib.core.files.dicom_parsing import parse_dicom, quiet_libraries
from AutoVolumeCalibrationLib.core.scouts.dicom import read_dicom_frames
from command_line import ROOT
from dicom_localizers import write_localizer
from scout_files import tiny_stacks


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_localizer(tiny_stacks()[:1], tmp_path / "plain")[0]


def deflated(plain: Path, path: Path, more: bytes = b"") -> Path:
    dataset = pydicom.dcmread(plain)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    if more:
        dataset.add_new(0x00091010, "OB", more)
    dataset.save_as(path)
    return path


def test_a_deflated_file_is_read_as_it_was_before(plain: Path, tmp_path: Path):
    (before,) = read_dicom_frames(plain)
    (after,) = read_dicom_frames(deflated(plain, tmp_path / "a.dcm"))
    np.testing.assert_array_equal(after.scout.pixels, before.scout.pixels)
    np.testing.assert_array_equal(after.scout.origin_mm, before.scout.origin_mm)


def test_a_deflated_file_is_not_unpacked_beyond_the_limit(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = deflated(plain, tmp_path / "a.dcm", bytes(2 * 10**6))
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(dicom_parsing, "_MOST_UNPACKED_BYTES", 10**6)
    monkeypatch.setattr(zlib, "decompress", lambda *_: pytest.fail("unpacked without a limit"))
    with pytest.raises(InputError, match=r"a\.dcm: it unpacks to far more than any scout has"):
        read_dicom_frames(path)


def test_a_file_that_is_too_large_is_not_read(plain: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dicom_parsing, "_MOST_FILE_BYTES", 1000)
    with pytest.raises(InputError, match="refused for its size"):
        read_dicom_frames(plain)


def test_without_pixels_the_header_is_the_same(plain: Path):
    assert parse_dicom(plain, stop_before_pixels=True).Rows == parse_dicom(plain).Rows
    assert "PixelData" not in parse_dicom(plain, stop_before_pixels=True)


def test_the_libraries_log_nothing_and_get_their_loggers_back(capfd: pytest.CaptureFixture, caplog):
    names = ("pydicom", "pydicom.pixels.decoders", "pylibjpeg.utils")
    with quiet_libraries():
        for name in names:
            logging.getLogger(name).error("Doe^Jane")
    assert capfd.readouterr().err == "" and caplog.text == ""
    logging.getLogger("pydicom").error("audible again")
    assert "audible again" in caplog.text


def test_a_header_that_pydicom_complains_about_is_not_quoted(plain: Path, capfd: pytest.CaptureFixture, caplog):
    content = plain.read_bytes().replace(b"LO", b"UI", 1).replace(b"localizer", b"Doe^Jane ")
    plain.write_bytes(content)
    try:
        read_dicom_frames(plain)
    except InputError as error:
        assert "Doe" not in str(error)
    assert "Doe" not in capfd.readouterr().err + caplog.text


def test_every_dicom_file_is_parsed_within_these_limits():
    """A file that calls pydicom by itself would read without them, and print what pydicom says."""
    packages = (ROOT / "AutoVolumeCalibration", ROOT / "LandmarkTraining")
    calls = {path.name for package in packages for path in package.rglob("*.py") if "dcmread(" in path.read_text()}
    assert calls == {"dicom_parsing.py"}
