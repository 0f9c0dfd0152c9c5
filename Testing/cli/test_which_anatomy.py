"""Models of two anatomies are installed, and no protocol is named: the scouts decide."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL, read_current, shipped_models, write_current
from command_line import MIDDLE_SLICES, PLANNED_CODES, SAMPLE, assert_refused, content_of
from dicom_localizers import write_localizer
from fake_models import blank_stacks

pytestmark = pytest.mark.usefixtures("no_picture")


@pytest.fixture
def knee_model(tmp_path, monkeypatch):
    """The brain's network that says that it finds a knee: it has 45 channels, named as landmarks of nothing here."""
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    folder = tmp_path / "models" / "knee-1"
    shutil.copytree(shipped_models()[DEFAULT_MODEL], folder)
    path = folder / "configs" / "metadata.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    for entry in data["landmarks"]:
        entry.update(name=f"OF_A_KNEE_{entry['name']}", mirror=None)
    path.write_text(json.dumps({**data, "anatomy": "knee", "protocols": ["KneeSagittal"]}), encoding="utf-8")
    write_current(read_current().with_model("knee", "knee-1"))


def test_a_head_is_planned_as_a_head(autovolume, knee_model, tmp_path):
    folder = tmp_path / "results"
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", folder, "--device", "cpu")
    assert ran.code in PLANNED_CODES
    assert "recognised: brain, protocol BrainAcPc" in ran.out + ran.err
    content = content_of(folder)
    assert content["protocol"] == "BrainAcPc" and content["model"]["name"] == DEFAULT_MODEL
    assert "other anatomy" not in {check["name"] for check in content["checks"]}


def test_single_slices_beside_the_middle_of_a_head_are_planned_in_doubt(autovolume, tmp_path):
    """No shipped model is sure of them: they were refused."""
    folder, beside = tmp_path / "results", [SAMPLE / "dicom" / f"{number:04d}.dcm" for number in (5, 6, 15)]
    ran = autovolume("calibrate", *beside, "--output", folder, "--device", "cpu")
    assert ran.code in PLANNED_CODES and "probably: brain, protocol BrainAcPc" in ran.out + ran.err
    content = content_of(folder)
    assert content["model"]["unsure_anatomy"]
    assert "unsure anatomy" in {check["name"] for check in content["checks"]}


def test_what_is_neither_is_refused(autovolume, knee_model, tmp_path):
    stacks = blank_stacks([-15.0, 0.0, 15.0])
    for stack in stacks:
        write_localizer([stack], tmp_path / "scouts" / stack.plane)
    ran = autovolume("calibrate", tmp_path / "scouts", "--output", tmp_path / "results", "--device", "cpu")
    assert_refused(ran, 3, "neither brain nor knee recognised")
    assert not (tmp_path / "results").exists()


def test_a_knee_asked_for_gets_the_model_of_the_knee(autovolume, knee_model, tmp_path):
    options = ("--protocol", "KneeSagittal", "--output", tmp_path / "results", "--device", "cpu")
    assert_refused(autovolume("calibrate", *MIDDLE_SLICES, *options), 4, "finds none of the landmarks")


def test_a_named_model_decides_without_a_look(autovolume, knee_model, tmp_path):
    folder = tmp_path / "results"
    ran = autovolume("calibrate", *MIDDLE_SLICES, "--output", folder, "--device", "cpu", "--model", DEFAULT_MODEL)
    assert ran.code in PLANNED_CODES and "recognised" not in ran.out + ran.err
    assert np.isfinite(content_of(folder)["frame"]["origin_mm"]).all()


def test_a_batch_plans_each_study_by_what_it_shows(autovolume, knee_model, tmp_path):
    """With --resume the plans of every installed anatomy count."""
    (tmp_path / "table.csv").write_text(f"study,scouts\nhead,{MIDDLE_SLICES[0].parent}\n", encoding="utf-8")
    command = ("batch", tmp_path / "table.csv", "--output", tmp_path / "out", "--workers", "0", "--device", "cpu")
    ran = autovolume(*command)
    assert ran.code in PLANNED_CODES
    assert content_of(tmp_path / "out" / "head")["protocol"] == "BrainAcPc"
    again = autovolume(*command, "--resume")
    assert again.code in PLANNED_CODES and "1/1" not in again.out


def test_a_box_of_a_batch_needs_its_protocol(autovolume, knee_model, tmp_path):
    (tmp_path / "studies").mkdir()
    ran = autovolume("batch", tmp_path / "studies", "--output", tmp_path / "out", "--box", "Brain")
    assert_refused(ran, 2, "a box belongs to a protocol. Give --protocol")
