"""``evaluate --labels`` measures planning methods on simulated scouts of label maps."""

from __future__ import annotations

import json

import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL
from command_line import assert_refused
from LandmarkTrainingLib.core.evaluation import methods
from LandmarkTrainingLib.core.evaluation.case_log import read_case_log
from toy_label_maps import write_toy_knees


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """The command's words; only the typical knee plans, because no knee model is shipped with the tests."""
    write_toy_knees(tmp_path / "labels", load_protocol("KneeSagittal"), range(1, 3))
    monkeypatch.setattr(
        methods,
        "standard_methods",
        lambda model, protocol, template, box=None: {"typical": methods.constellation_method(protocol, box)},
    )
    words = ("--labels", tmp_path / "labels", "--model", DEFAULT_MODEL, "--device", "cpu", "--poses", 1)
    return ("evaluate", *words, "--slices", 1, "--output", tmp_path / "out")


def test_several_protocols_have_a_folder_each(autovolume, asked, tmp_path):
    ran = autovolume(*asked, "--heads", "knee_0002", "--protocol", "KneeSagittal", "KneeAxial")
    assert ran.code == 0
    assert ran.err.count("knee_0002 pose 0 P1, typical") == 2
    for name in ("KneeSagittal", "KneeAxial"):
        (case,) = read_case_log(tmp_path / "out" / name / "cases.jsonl")
        assert case.head == "knee_0002" and len(case.slice_angles_deg) == 2
        first = json.loads((tmp_path / "out" / name / "cases.jsonl").read_text(encoding="utf-8").splitlines()[0])
        assert first["protocol"] == name
        report = (tmp_path / "out" / name / "report.md").read_text(encoding="utf-8")
        assert report in ran.out and "flexion" in report and "brain" not in report.lower()


def test_one_protocol_fills_the_folder_itself(autovolume, asked, tmp_path):
    assert autovolume(*asked, "--heads", "knee_0001", "--protocol", "KneeCoronal").code == 0
    assert (tmp_path / "out" / "report.md").exists()
    again = autovolume(*asked, "--heads", "knee_0001", "--protocol", "KneeCoronal")
    assert "pose 0" not in again.err, "nothing is planned twice"


def test_what_is_for_heads_only_is_refused(autovolume, asked, tmp_path):
    assert_refused(autovolume(*asked, "--protocol", "KneeAxial", "--corrected"), 2, "are for heads")
    assert_refused(autovolume(*asked, "--protocol", "KneeAxial", "--heads", "head_01"), 3, "no label map head_01")
    assert not (tmp_path / "out").exists()
    assert_refused(autovolume(*asked), 3, "none of the landmarks of protocol BrainAcPc")
