"""``export`` and ``import-sr`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from AutoVolumeCalibrationLib.cli import export_commands
from AutoVolumeCalibrationLib.core.exports.doors.patient_position import POSITIONS
from AutoVolumeCalibrationLib.core.exports.forms import FORMS
from command_line import SAMPLE, assert_refused, content_of


def test_the_flags_offer_what_the_core_knows() -> None:
    assert tuple(FORMS) == export_commands.FORMS
    assert export_commands.POSITIONS == POSITIONS


def test_a_plan_goes_to_a_report_and_back(autovolume, results: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    ran = autovolume("export", results, "--to", "dicom-sr", "--output", tmp_path / "plan.dcm")
    assert (ran.code, ran.err) == (0, "")
    assert str(tmp_path / "plan.dcm") in ran.out
    back = tmp_path / "back"
    ran = autovolume("import-sr", tmp_path / "plan.dcm", "--output", back, "--scouts", SAMPLE / "dicom")
    assert (ran.code, ran.err) == (0, "")
    assert content_of(back)["box"] == content_of(results)["box"]
    ran = autovolume("refit", back, "--landmarks", back / "landmarks.mrk.json")
    assert ran.code == 0
    assert content_of(back)["prescription"] == content_of(results)["prescription"]


def test_what_is_assumed_is_noted(autovolume, results: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    autovolume("export", results, "--to", "dicom-sr", "--output", tmp_path / "plan.dcm")
    ran = autovolume("import-sr", tmp_path / "plan.dcm", "--output", tmp_path / "back")
    assert "give --scouts to refit" in ran.err
    ran = autovolume("export", tmp_path / "back", "--to", "scanhub", "--output", tmp_path / "plan.json")
    assert "head first supine (HFS) is assumed" in ran.err


def test_a_file_that_exists_is_refused_in_one_line(autovolume, results: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.nii.gz").write_bytes(b"mine")
    ran = autovolume("export", results, "--to", "nifti", "--output", tmp_path / "plan.nii.gz")
    assert_refused(ran, 2, tmp_path / "plan.nii.gz")
    assert autovolume("export", results, "--to", "nifti", "--output", tmp_path / "plan.nii.gz", "--overwrite").code == 0


def test_what_is_not_a_report_is_refused_in_one_line(autovolume, tmp_path: Path) -> None:
    ran = autovolume("import-sr", SAMPLE / "dicom" / "0001.dcm", "--output", tmp_path / "back")
    assert_refused(ran, 3, "0001.dcm")
    assert not (tmp_path / "back").exists()
