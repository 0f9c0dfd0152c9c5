"""Re-predict the rest from my points: in the background, as one step; by hand without a model or torch."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import Cancelled, ModelError
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks

slicer = pytest.importorskip("slicer", exc_type=ImportError)


class FakePredicting:
    """Takes the place of ``detection_job.repredict_landmarks``: everything else is found 5 mm further left."""

    def __init__(self, panel) -> None:
        self.panel, self.calls, self.error, self.open = panel, [], None, True

    def __call__(self, calibration, settings, corrections, progress, cancelled):
        self.calls.append((settings, [mark.name for mark in corrections]))
        progress(0.5)
        while not self.open:
            if cancelled():
                raise Cancelled
        if self.error:
            raise self.error
        predicted = [
            mark if mark.position_mm is None else replace(mark, position_mm=mark.position_mm - [5.0, 0, 0])
            for mark in calibration.predicted
        ]
        model = replace(calibration.model, name="guide", guidance=tuple(mark.name for mark in corrections))
        return plan_from_landmarks(
            calibration.stacks, calibration.protocol, corrections, predicted=predicted, model=model
        )


@pytest.fixture
def guided(planned):
    """The panel with a plan, and a fake detection to rerun."""
    return with_predicting(planned)


def with_predicting(panel):
    panel.predicting = panel.panel.landmarks.predict = FakePredicting(panel)
    return panel


def test_it_waits_for_a_placed_point(guided):
    assert guided.ui.followButton.toolTip == "First drag a landmark to its position."
    guided.move("AC", [0, 2, 0])
    assert guided.ui.followButton.enabled and "guided by yours" in guided.ui.followButton.toolTip


def test_the_rest_is_found_and_the_placed_points_stay(guided):
    guided.move("AC", [0, 2, 0])
    placed, other, nodes = guided.place_of("AC"), guided.place_of("PC"), guided.app.scene.GetNumberOfNodes()
    guided.click(guided.ui.followButton)
    guided.wait()
    (settings, given) = guided.predicting.calls[0]
    assert (settings.model, given) == (None, ["AC"])
    assert guided.place_of("AC") == pytest.approx(placed)
    assert guided.place_of("PC") == pytest.approx(other - [5, 0, 0])
    assert (guided.row("AC").status, guided.row("PC").status) == ("set by you", "found")
    assert guided.landmarks.GetNthControlPointLocked(guided.point("AC"))
    assert guided.calibration.model.guidance == ("AC",)
    assert "43 landmarks found" in guided.ui.statusLabel.text
    assert guided.app.scene.GetNumberOfNodes() == nodes


def test_it_is_one_step_back_and_forth(guided):
    guided.move("AC", [0, 2, 0])
    placed, other = guided.place_of("AC"), guided.place_of("PC")
    guided.click(guided.ui.followButton)
    guided.wait()
    guided.click(guided.ui.undoButton)
    assert guided.place_of("PC") == pytest.approx(other) and guided.place_of("AC") == pytest.approx(placed)
    assert guided.calibration.model.name == "FakeModel"
    guided.click(guided.ui.redoButton)
    assert guided.place_of("PC") == pytest.approx(other - [5, 0, 0])
    guided.choose("AC")
    guided.click(guided.ui.restoreButton)
    assert guided.row("AC").status == "found"


def test_a_cancel_changes_nothing(guided):
    guided.move("AC", [0, 2, 0])
    before, guided.predicting.open = guided.calibration, False
    guided.click(guided.ui.followButton)
    guided.app.wait_until(lambda: guided.ui.progressBar.value == 50)
    assert not guided.ui.followButton.enabled and "current job" in guided.ui.followButton.toolTip
    guided.click(guided.ui.cancelButton)
    guided.wait()
    assert guided.calibration is before
    assert guided.ui.statusLabel.text == "Cancelled. Nothing was changed."


def test_a_point_corrected_meanwhile_is_kept(guided):
    guided.move("AC", [0, 2, 0])
    guided.predicting.open = False
    guided.click(guided.ui.followButton)
    guided.move("PC", [0, -4, 0])
    moved, guided.predicting.open = guided.place_of("PC"), True
    guided.wait()
    assert guided.place_of("PC") == pytest.approx(moved) and guided.row("PC").status == "set by you"
    assert guided.calibration.model.name == "guide"


def test_errors_are_shown_and_the_plan_stays(guided, caplog):
    guided.move("AC", [0, 2, 0])
    before, guided.predicting.error = guided.calibration, ModelError("weights differ", source="guide")
    guided.click(guided.ui.followButton)
    guided.wait()
    assert guided.ui.statusLabel.text == "guide: weights differ" and guided.calibration is before


def test_the_chosen_model_and_device_look_again(guided):
    models, devices = guided.ui.modelComboBox, guided.ui.deviceComboBox
    models.setCurrentIndex(models.findData("brain-scout"))
    devices.setCurrentIndex(devices.findData("cpu"))
    guided.move("AC", [0, 2, 0])
    guided.click(guided.ui.followButton)
    guided.wait()
    (settings, _given) = guided.predicting.calls[0]
    assert (settings.model, settings.device) == ("brain-scout", "cpu")


def test_a_plan_by_hand_becomes_a_model_s(panel):
    panel.load()
    panel.click(panel.ui.byHandButton)
    with_predicting(panel)
    panel.move("AC", [0, 2, 0])
    panel.click(panel.ui.followButton)
    panel.wait()
    assert len(panel.predicting.calls) == 1 and panel.calibration.model.name == "guide"


@pytest.mark.parametrize("lacking", ["onnxruntime", "models"])
def test_by_hand_nothing_is_needed_or_installed_for_it(panel, monkeypatch, lacking):
    panel.load()
    panel.click(panel.ui.byHandButton)
    with_predicting(panel)
    if lacking == "onnxruntime":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as where it is not installed
    else:
        section = sys.modules["AutoVolumeCalibrationLib.widgets.landmarks_section"]
        monkeypatch.setattr(section, "model_folders", dict)
    panel.move("AC", np.array([0, 2.0, 0]))
    assert "where yours predict them" in panel.ui.followButton.toolTip
    panel.click(panel.ui.followButton)
    assert panel.predicting.calls == [] and not panel.panel.jobs.busy
    assert panel.calibration.model.name == "typical anatomy" and panel.ui.undoButton.enabled


def test_by_hand_an_anatomy_without_a_model_follows_the_placed_points(panel):
    combo_box = panel.ui.protocolComboBox
    combo_box.setCurrentIndex(combo_box.findData("KneeSagittal"))
    combo_box.activated.emit(combo_box.currentIndex)
    panel.load()
    panel.click(panel.ui.byHandButton)
    with_predicting(panel)
    name = panel.calibration.protocol.constellation.names[0]
    panel.move(name, np.array([0, 2.0, 0]))
    assert "where yours predict them" in panel.ui.followButton.toolTip
    panel.click(panel.ui.followButton)
    assert panel.predicting.calls == [] and panel.ui.statusLabel.text.startswith("A typical knee")
