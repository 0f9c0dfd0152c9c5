"""``coverage`` measures what a stated uncertainty is worth, from an evaluation's log, and can put it into a bundle."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from command_line import assert_refused
from head_phantom import phantom_head
from LandmarkTrainingLib.core.coverage import studies as coverage_studies
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult, append_case, open_case_log
from LandmarkTrainingLib.core.evaluation.methods import model_name
from LandmarkTrainingLib.core.evaluation.metrics import BoxErrors
from LandmarkTrainingLib.core.reference_heads import heads
from LandmarkTrainingLib.core.simulator import label_heads


def case(head, number, method, **changes):
    rng = np.random.default_rng(number)
    known = {
        "needed_mm": rng.normal(0, 2, 6).tolist(),
        "face_sd_mm": [2.0] * 6,
        "frame_angles_deg": rng.normal(0, 1, 3).tolist(),
        "angles_sd_deg": [1.0] * 3,
        "box": BoxErrors((0.0,) * 3, 0.0, 0.0, (0.0,) * 6, 1.0),
    }
    return CaseResult(head, number, "P5", method, **{**known, **changes})


@pytest.fixture
def bundle(tmp_path):
    shutil.copytree(resource_path("Models", "brain-scout"), tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def asked(bundle, tmp_path, monkeypatch):
    """The command's words; heads and simulated studies are made up."""
    someone = phantom_head(load_protocol("BrainAcPc"), "someone")
    method = model_name(load_model(bundle, "cpu"))
    monkeypatch.setattr(heads, "list_heads", lambda data, split: [someone])
    monkeypatch.setattr(label_heads, "load_label_heads", lambda *arguments, **options: None)
    studies = [case(f"simulated {i}", i, method) for i in range(30)]
    monkeypatch.setattr(coverage_studies, "simulated_cases", lambda *arguments, **options: iter(studies))
    words = ("--data", tmp_path, "--labels", tmp_path, "--model", bundle, "--output", tmp_path / "out")
    return ("coverage", "--cases", tmp_path / "cases.jsonl", *words), method, someone.id


def write_log(path, cases):
    open_case_log(path, {})
    for one in cases:
        append_case(path, one)


def test_factors_are_measured_told_and_recorded(autovolume, asked, bundle, tmp_path):
    words, method, head = asked
    write_log(tmp_path / "cases.jsonl", [case(head, i, method) for i in range(8)] + [case(head, 9, "another model")])
    ran = autovolume(*words, "--record", bundle)
    assert (ran.code, ran.err) == (0, "")
    assert "1 subjects, 8 cases" in ran.out
    assert (tmp_path / "out" / "coverage.md").read_text(encoding="utf-8") == ran.out.removesuffix("\n")
    assert (tmp_path / "out" / "coverage.png").exists()
    (recorded,) = load_model(bundle, "cpu").coverage
    assert recorded.measured and recorded.cases == 8 + 30
    autovolume(*words, "--record", bundle)
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert len(metadata["coverage"]) == 1, "measured anew, not twice"


def test_a_log_that_does_not_tell_the_margins_is_refused(autovolume, asked, tmp_path):
    words, method, head = asked
    write_log(tmp_path / "cases.jsonl", [case(head, 0, method, needed_mm=[])])
    assert_refused(autovolume(*words), 3, "Evaluate again")
    assert not (tmp_path / "out").exists()


def test_a_log_that_is_not_there_is_refused(autovolume, asked):
    assert_refused(autovolume(*asked[0]), 3, "cases.jsonl")


@pytest.mark.parametrize(("logged", "asked_for"), [(True, ()), (False, ("--corrected",))])
def test_the_truth_of_the_log_and_of_the_simulated_heads_is_the_same(autovolume, asked, tmp_path, logged, asked_for):
    words, method, head = asked
    open_case_log(tmp_path / "cases.jsonl", {"corrected": True} if logged else {})
    for i in range(8):
        append_case(tmp_path / "cases.jsonl", case(head, i, method))
    assert_refused(autovolume(*words, *asked_for), 2, "corrected points")
    other = () if asked_for else ("--corrected",)
    assert autovolume(*words, *other).code == 0
