"""Advanced: model, device and detection threshold are handed on; the threshold belongs to the study."""

from __future__ import annotations

import shutil

import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.store import CurrentModel, write_current

slicer = pytest.importorskip("slicer", exc_type=ImportError)

SHIPPED = ["brain-scout", "brain-scout-guided"]


def threshold_used(panel) -> float | None:
    return panel.detection.calls[-1][1].threshold


def test_the_model_s_own_threshold_holds_unless_a_person_sets_one(planned):
    assert planned.ui.thresholdSpinBox.text == "the model's own"
    assert threshold_used(planned) is None
    planned.ui.thresholdSpinBox.setValue(0.35)
    planned.calibrate()
    assert threshold_used(planned) == pytest.approx(0.35)
    assert planned.calibration.model.threshold == pytest.approx(0.35)


def test_a_threshold_that_was_just_set_stays_while_points_are_corrected(planned):
    planned.ui.thresholdSpinBox.setValue(0.35)
    planned.move("AC", [0, 4, 0])
    assert planned.ui.thresholdSpinBox.value == pytest.approx(0.35)


def test_each_study_shows_its_own_threshold(planned):
    planned.ui.thresholdSpinBox.setValue(0.35)
    planned.calibrate()
    first = planned.current.study.node
    planned.load()
    assert planned.ui.thresholdSpinBox.value == 0
    planned.calibrate()
    assert threshold_used(planned) is None
    planned.ui.studySelector.setCurrentNode(first)
    planned.settle()
    assert planned.ui.thresholdSpinBox.value == pytest.approx(0.35)


def test_undo_brings_the_threshold_of_the_plan_before(planned):
    planned.ui.thresholdSpinBox.setValue(0.35)
    planned.calibrate()
    planned.click(planned.ui.undoButton)
    assert planned.ui.thresholdSpinBox.value == 0


def test_a_threshold_survives_the_saved_scene(planned, tmp_path):
    planned.ui.thresholdSpinBox.setValue(0.35)
    planned.calibrate()
    assert planned.app.scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    planned.app.scene.Clear(False)
    planned.settle()
    assert planned.ui.thresholdSpinBox.value == 0
    assert planned.app.scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False)
    planned.settle()
    assert planned.ui.thresholdSpinBox.value == pytest.approx(0.35)


def names_offered(panel) -> list[str]:
    models = panel.ui.modelComboBox
    return [models.itemText(row) for row in range(models.count)]


def test_the_current_model_runs_unless_another_one_is_chosen(planned):
    assert planned.detection.calls[-1][1].model is None
    assert names_offered(planned) == ["current (brain-scout)", *SHIPPED]
    planned.ui.modelComboBox.setCurrentIndex(1)
    planned.calibrate()
    assert planned.detection.calls[-1][1].model == "brain-scout"


def test_a_model_promoted_meanwhile_is_offered_and_a_choice_stays(panel, tmp_path, monkeypatch):
    panel.ui.modelComboBox.setCurrentIndex(1)
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path))
    shutil.copytree(resource_path("Models", "brain-scout"), tmp_path / "mine-1")
    write_current(CurrentModel("mine-1"))
    panel.widget.enter()
    assert names_offered(panel) == ["current (mine-1)", "mine-1", *SHIPPED]
    assert panel.ui.modelComboBox.currentIndex == 2


def test_a_damaged_choice_of_model_lets_the_panel_open_and_is_told_by_calibrate(panel, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path))
    (tmp_path / "current.json").write_text("{", encoding="utf-8")
    from AutoVolumeCalibrationLib.widgets.detection_job import find_landmarks

    panel.widget.enter()
    settings = panel.panel.advanced.settings()
    assert names_offered(panel) == ["current (?)", *SHIPPED]
    with pytest.raises(ModelError, match=r"current\.json"):
        find_landmarks((), load_protocol("BrainAcPc"), settings, (), lambda part: None, lambda: False)
