"""Calibrate: in the background, with progress, cancel and errors; by hand without any model."""

from __future__ import annotations

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.errors import InputError, ModelError
from fake_detection import NOT_FOUND

slicer = pytest.importorskip("slicer", exc_type=ImportError)


def test_calibrate_makes_points_box_and_verdict(panel):
    panel.load()
    panel.calibrate()
    study = panel.current.study
    assert study.scan_box.GetName() == "Study 1 ScanBox"
    assert study.landmarks.GetNumberOfControlPoints() == len(panel.calibration.landmarks)
    assert "44 of 45 landmarks" in panel.ui.statusLabel.text
    assert panel.ui.verdictLabel.text != "No plan yet"
    assert panel.ui.calibrateButton.visible or not panel.ui.cancelButton.visible
    assert panel.detection.calls[0][0] == "BrainAcPc"


def test_the_window_lives_while_landmarks_are_found(panel):
    panel.load()
    panel.detection.gate.clear()
    panel.ui.calibrateButton.click()
    turns = []
    import qt

    timer = qt.QTimer()
    timer.connect("timeout()", lambda: turns.append(1))
    timer.start(1)
    panel.app.wait_until(lambda: len(turns) > 3 and panel.ui.progressBar.value == 50)
    assert not panel.ui.calibrateButton.isVisible()
    assert not panel.ui.loadFolderButton.enabled
    assert "current job" in panel.ui.loadFolderButton.toolTip
    panel.detection.gate.set()
    panel.wait()
    timer.stop()
    assert panel.calibration is not None


def test_a_cancel_in_the_middle_leaves_the_scene_as_it_was_and_is_no_error(panel, caplog):
    panel.load()
    nodes = panel.app.scene.GetNumberOfNodes()
    panel.detection.gate.clear()
    panel.ui.calibrateButton.click()
    panel.app.wait_until(lambda: panel.ui.progressBar.value == 50)
    panel.click(panel.ui.cancelButton)
    assert panel.ui.statusLabel.text.startswith("Cancel")
    panel.wait()
    assert panel.ui.statusLabel.text == "Cancelled. Nothing was changed."
    assert panel.app.scene.GetNumberOfNodes() == nodes
    assert panel.calibration is None
    assert caplog.text == ""
    panel.detection.gate.set()
    panel.calibrate()
    assert panel.calibration is not None


def test_a_work_that_ends_in_spite_of_the_cancel_changes_nothing(panel):
    panel.load()
    panel.detection.gate.clear()
    panel.ui.calibrateButton.click()
    panel.panel.jobs.cancel()
    panel.detection.gate.set()
    panel.wait()
    assert panel.calibration is None


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            ModelError("weights differ", source="brain-scout", remedy="Get it again."),
            "brain-scout: weights differ. Get",
        ),
        (InputError("too few landmarks"), "too few landmarks"),
        (MemoryError(), "Not enough memory"),
        (ModuleNotFoundError("no", name="monai"), "package monai is missing"),
        (ZeroDivisionError("division by zero"), "Internal error: division by zero"),
    ],
)
def test_errors_are_shown_in_words_and_the_last_plan_stays(planned, error, shown, caplog):
    before = planned.calibration
    planned.detection.error = error
    planned.calibrate()
    assert shown in planned.ui.statusLabel.text
    assert shown in caplog.text
    assert planned.calibration is before
    assert planned.ui.calibrateButton.enabled


def test_a_second_run_keeps_corrections_and_adds_no_nodes(planned):
    planned.move("AC", [0, 6, 0])
    moved, nodes = planned.place_of("AC"), planned.app.scene.GetNumberOfNodes()
    planned.calibrate()
    assert planned.detection.calls[1][2] == ["AC"]
    assert planned.place_of("AC") == pytest.approx(moved)
    assert planned.app.scene.GetNumberOfNodes() == nodes
    assert planned.row("AC").status == "set by you"


def test_a_point_corrected_while_the_work_goes_on_is_kept(planned):
    planned.detection.gate.clear()
    planned.ui.calibrateButton.click()
    planned.move("PC", [0, -5, 0])
    moved = planned.place_of("PC")
    planned.detection.gate.set()
    planned.wait()
    assert planned.place_of("PC") == pytest.approx(moved)
    assert planned.row("PC").status == "set by you"


def test_closing_the_scene_in_the_middle_drops_the_result(panel):
    panel.load()
    panel.detection.gate.clear()
    panel.ui.calibrateButton.click()
    panel.app.scene.Clear(False)
    panel.detection.gate.set()
    panel.settle()
    assert not panel.panel.jobs.busy
    assert panel.current.study is None
    assert panel.current.engine.studies() == []


def test_a_missing_landmark_is_never_invented(planned):
    assert planned.row(NOT_FOUND).status.startswith("missing")
    point = planned.point(NOT_FOUND)
    assert planned.landmarks.GetNthControlPointPositionStatus(point) == planned.landmarks.PositionMissing


def test_by_hand_three_points_place_the_head(panel, monkeypatch):
    import sys

    panel.load()  # first: scipy takes None for the module when it meets a type for the first time
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # importing it would fail
    panel.click(panel.ui.byHandButton)
    assert panel.ui.verdictLabel.text == "Do not use without correction"
    assert panel.row("AC").status == "typical"
    names = panel.calibration.protocol.constellation.names
    truth = dict(zip(names, panel.calibration.protocol.constellation.reference_mm + [9.0, -14.0, 11.0], strict=True))
    assert not panel.ui.followButton.enabled
    for name in ("AC", "PC", "VERTEX"):
        panel.move(name, truth[name] - panel.place_of(name))
    expected = panel.calibration.frame.expected_mm
    assert max(np.abs(expected[name] - truth[name]).max() for name in names) < 3
    box = panel.calibration.box
    panel.click(panel.ui.followButton)
    assert panel.place_of("OCCIPITAL_L") == pytest.approx(truth["OCCIPITAL_L"], abs=3)
    assert panel.calibration.box.center_mm == pytest.approx(box.center_mm, abs=0.5)
    assert panel.place_of("AC") == pytest.approx(truth["AC"])


def test_the_bundled_model_runs_in_the_panel(panel):
    from AutoVolumeCalibrationLib.core.files.resources import resource_path
    from AutoVolumeCalibrationLib.widgets.detection_job import find_landmarks

    panel.panel.calibrate.find = find_landmarks
    panel.current.select(panel.current.engine.add_scouts([resource_path("SampleData", "ColinScouts", "dicom")]))
    panel.ui.deviceComboBox.setCurrentIndex(panel.ui.deviceComboBox.findData("cpu"))
    panel.ui.thresholdSpinBox.setValue(0.3)
    panel.ui.calibrateButton.click()
    panel.app.wait_until(lambda: not panel.panel.jobs.busy, timeout_s=120)
    assert panel.calibration.model.device == "cpu"
    assert panel.calibration.model.threshold == pytest.approx(0.3)
    assert panel.calibration.model.name == "brain-scout"
