"""Add to training set: what a person corrected becomes a study to train on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.storage.dataset import study_names

slicer = pytest.importorskip("slicer", exc_type=ImportError)


def add(panel, folder) -> None:
    panel.app.dialogs.answer("QFileDialog.getExistingDirectory", str(folder))
    panel.click(panel.ui.trainingSetButton)


def test_without_a_plan_or_a_correction_the_button_says_what_is_missing(panel):
    button = panel.ui.trainingSetButton
    assert not button.enabled and "Calibrate first" in button.toolTip
    panel.load()
    assert not button.enabled
    panel.calibrate()
    assert not button.enabled and "First correct a landmark" in button.toolTip
    panel.move("AC", [0, 4, 0])
    assert button.enabled and "without patient names and ids" in button.toolTip
    panel.click(panel.ui.undoButton)
    assert not button.enabled


def test_a_corrected_study_is_added_and_told_in_words(planned, tmp_path):
    planned.move("AC", [0, 4, 0])
    add(planned, tmp_path / "set")
    (name,) = study_names(tmp_path / "set")
    told = f"Added as {name}: landmarks set by you: 1, removed: 0. Studies in the set: 1."
    assert planned.ui.statusLabel.text == told
    place = tmp_path / "set" / "studies" / name
    provenance = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["corrected"] == ["AC"]
    assert provenance["model"]["name"] == "FakeModel"
    planned.move("PC", [0, 0, 3])
    add(planned, tmp_path / "set")
    assert len(study_names(tmp_path / "set")) == 2
    assert "set by you: 2" in planned.ui.statusLabel.text
    assert "in the set: 2" in planned.ui.statusLabel.text


def test_the_written_landmarks_are_those_in_the_scene(planned, tmp_path):
    from AutoVolumeCalibrationLib.core.storage.markups import read_landmarks

    planned.move("AC", [0, 4, 0])
    add(planned, tmp_path)
    (name,) = study_names(tmp_path)
    points = {p.name: p for p in read_landmarks(tmp_path / "studies" / name / "landmarks.mrk.json")}
    for landmark in ("AC", "PC"):
        assert np.array(points[landmark].position_mm) == pytest.approx(planned.place_of(landmark), abs=1e-6)
    assert points["AC"].locked and not points["PC"].locked


def test_the_folder_is_offered_again_in_the_next_study(planned, tmp_path):
    planned.move("AC", [0, 4, 0])
    add(planned, tmp_path / "set")
    assert planned.app.dialogs.shown[-1].text == ""
    planned.load()
    planned.calibrate()
    planned.move("AC", [0, 4, 0])
    add(planned, "")  # looked at, then cancelled
    assert planned.app.dialogs.shown[-1].text == str(tmp_path / "set")
    assert len(study_names(tmp_path / "set")) == 1


def test_a_folder_with_a_foreign_list_is_an_error_in_words_and_not_remembered(planned, tmp_path, caplog):
    (tmp_path / "dataset.json").write_text('{"format": "other"}', encoding="utf-8")
    planned.move("AC", [0, 4, 0])
    add(planned, tmp_path)
    assert "dataset.json" in caplog.text and "Choose the folder of a data set" in caplog.text
    assert [path.name for path in tmp_path.iterdir() if path.name == "studies"] == []
    add(planned, "")
    assert planned.app.dialogs.shown[-1].text == ""
