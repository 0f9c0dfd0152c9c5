"""The sample knee: small, simulated and said to be, and planned as a knee once a model of the knee is there.

Until a model is shipped, AUTOVOLUME_KNEE_MODEL names a bundle.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.store import default_models, read_current, write_current
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.scouts.stack import header_side
from command_line import PLANNED_CODES, content_of

SAMPLE = resource_path("SampleData", "KneeScouts")


@pytest.fixture
def knee_model(tmp_path, monkeypatch):
    """Name of the default model of the knee: the shipped one, or the bundle that the environment names."""
    named = os.environ.get("AUTOVOLUME_KNEE_MODEL")
    if named:
        monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
        shutil.copytree(named, tmp_path / "models" / "knee-named")
        write_current(read_current().with_model("knee", "knee-named"))
    models = default_models()
    if "knee" not in models:
        pytest.skip("needs a model of the knee: set AUTOVOLUME_KNEE_MODEL to a bundle")
    return models["knee"]


def truth():
    return json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))


def test_it_is_small_and_says_what_it_is():
    size = sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file())
    assert size < 1_000_000
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    assert "**Simulated, not acquired.**" in readme
    licence = (SAMPLE / "LICENSE.txt").read_text(encoding="utf-8")
    assert licence.startswith("All or portions of this licensed product") and "PART B." in licence


def test_its_forms_are_the_same_scouts_and_only_dicom_states_the_side():
    dicom = read_scouts([SAMPLE / "dicom"])
    images = read_scouts([SAMPLE / f"{stack.plane}.nrrd" for stack in dicom])
    assert header_side(dicom) == truth()["side"] == "left" and header_side(images) == ""
    assert {stack.body_part for stack in dicom} == {"KNEE"}
    for one, other in zip(dicom, images, strict=True):
        assert one.plane == other.plane and len(one.slices) == 5
        for a, b in zip(one.slices, other.slices, strict=True):
            assert a.pixels.shape == b.pixels.shape
            np.testing.assert_allclose(np.sort(a.pixels.ravel()), np.sort(b.pixels.ravel()), atol=0.51)


def test_its_landmarks_are_those_of_a_left_knee():
    from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark

    marks = [Landmark(name).corrected(np.array(at)) for name, at in truth()["landmarks_mm"].items()]
    frame = fit_frame(marks, load_protocol("KneeSagittal"))
    assert frame.side == "left" and frame.side_probability > 0.9
    shown = [s for stack in read_scouts([SAMPLE / "dicom"]) for s in stack.slices]
    assert all(any(s.shows(mark.position_mm) for s in shown) for mark in marks)


@pytest.mark.parametrize("form", ["dicom", "images"])
def test_calibrate_picks_the_knee_by_itself(autovolume, knee_model, tmp_path, form):
    scouts = [SAMPLE / "dicom"] if form == "dicom" else sorted(SAMPLE.glob("*.nrrd"))
    ran = autovolume("calibrate", *scouts, "--output", tmp_path / "plan", "--device", "cpu")
    assert ran.code in PLANNED_CODES, ran.err
    assert "recognised: knee, protocol Knee" in ran.out + ran.err
    content = content_of(tmp_path / "plan")
    assert content["anatomy"] == "knee" and content["model"]["sha256"]
    assert content["frame"]["side"] == "left"
    assert content["frame"]["side_source"] == ("header" if form == "dicom" else "found")
    assert not {"other anatomy", "body part", "side"} & {check["name"] for check in content["checks"]}
    places = truth()["landmarks_mm"]
    found = {mark["name"]: mark["position_mm"] for mark in content["landmarks"] if mark["position_mm"]}
    errors = [float(np.linalg.norm(np.subtract(found[name], places[name]))) for name in found]
    assert len(found) >= 15 and np.median(errors) < 6.0, errors


def test_the_sample_knee_asked_for_as_a_brain_is_never_green(autovolume, knee_model, tmp_path):
    options = ("--protocol", "BrainAcPc", "--output", tmp_path / "plan", "--device", "cpu")
    ran = autovolume("calibrate", *sorted(Path(SAMPLE).glob("*.nrrd")), *options)
    assert ran.code != 0, ran.out
