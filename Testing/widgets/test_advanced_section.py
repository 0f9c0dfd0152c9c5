"""Advanced: model, device and detection threshold are handed on; the threshold belongs to the study."""

from __future__ import annotations

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)


def threshold_used(panel) -> float | None:
    return panel.finding.calls[-1][1].threshold


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
