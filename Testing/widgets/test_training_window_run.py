"""The run in the training window: progress, pictures, stopping, errors, other runs."""

from __future__ import annotations

import re

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)

from LandmarkTrainingLib.core.runs.run_process import is_running  # noqa: E402


def test_a_training_is_shown_from_its_start_to_its_end(window):
    window.add_dataset()
    window.engine.slow = True
    window.start()
    assert "reading the data" in window.ui.runLabel.text
    assert (window.ui.startButton.visible, window.ui.stopButton.visible) == (False, True)
    assert "goes on when Slicer closes" in window.next
    window.wait_for_numbers()
    assert re.search(r"Training: step \d+ of 10000, 2 min left, median error \d+\.\d\d mm", window.ui.runLabel.text)
    assert not window.ui.pictureLabel.pixmap.isNull()
    window.click(window.ui.stopButton)
    window.wait_for_end()
    assert window.ui.runLabel.text.startswith("Stopped: step")
    assert "resume" in window.next
    window.engine.slow = False
    window.click(window.ui.resumeButton)
    assert window.engine.commands[-1] == ["train", "--output", str(window.run.folder), "--resume"]


def test_a_finished_training_fills_the_bar(window):
    window.add_dataset()
    window.train()
    assert window.ui.runLabel.text == (
        "Finished: step 5 of 5, median error 2.00 mm (best 2.00), 95th percentile 52.00 mm"
    )
    assert window.ui.progressBar.value == window.ui.progressBar.maximum == 1000
    assert window.ui.startButton.visible
    assert "complete" in window.ui.resumeButton.toolTip


def test_the_newest_kernels_are_shown_on_request(window):
    window.add_dataset()
    assert not window.ui.pictureComboBox.visible
    window.train()
    assert window.ui.pictureComboBox.visible
    assert window.ui.pictureLabel.toolTip.startswith("Predictions on validation slices: ")
    assert window.ui.pictureLabel.toolTip.endswith("step_000005.png")
    window.choose(window.ui.pictureComboBox, "kernels")
    assert window.ui.pictureLabel.toolTip.startswith("Kernels of the first layer: ")
    assert window.ui.pictureLabel.toolTip.endswith("kernels_000005.png")
    assert window.ui.pictureLabel.visible and not window.ui.pictureLabel.pixmap.isNull()


def test_the_curves_are_nodes_of_the_scene(window):
    window.add_dataset()
    assert not window.ui.curvesButton.enabled
    window.train()
    (table,) = slicer.util.getNodesByClass("vtkMRMLTableNode")
    assert table.GetNumberOfRows() == 5
    window.click(window.ui.curvesButton)
    assert len(slicer.util.getNodesByClass("vtkMRMLPlotChartNode")) == 1


def test_a_layout_with_a_plot_view_is_shown_where_there_is_a_window(window, monkeypatch):
    from types import SimpleNamespace

    logic, scene = slicer.vtkSlicerPlotsLogic(), window.app.scene
    logic.SetMRMLApplicationLogic(window.app.application_logic)
    logic.SetMRMLScene(scene)
    layout = scene.AddNewNodeByClass("vtkMRMLLayoutNode")
    from LandmarkTrainingLib.widgets import plot_view

    monkeypatch.setattr(plot_view, "has_window", lambda: True)
    monkeypatch.setattr(slicer.modules, "plots", SimpleNamespace(logic=lambda: logic), raising=False)
    window.add_dataset()
    window.engine.slow = True
    window.start()
    window.wait_for_numbers()
    window.click(window.ui.stopButton)
    window.wait_for_end()
    assert layout.GetViewArrangement() == logic.GetLayoutWithPlot(layout.GetViewArrangement())
    (chart,) = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    assert scene.GetNodeByID("vtkMRMLSelectionNodeSingleton").GetActivePlotChartID() == chart.GetID()


def test_what_a_person_stops_is_no_error(window, caplog):
    window.add_dataset()
    window.engine.slow = True
    window.start()
    window.wait_for_numbers()
    window.click(window.ui.stopButton)
    assert window.ui.stopButton.text == "Stop at once" or not window.run.running
    window.wait_for_end()
    assert caplog.text == ""


def test_stopping_twice_ends_a_training_at_once(window):
    window.add_dataset()
    window.engine.slow = True
    window.start()
    window.wait_for_numbers()
    window.panel.run.stop()
    if window.run.running:
        assert window.ui.stopButton.text == "Stop at once"
        window.click(window.ui.stopButton)
    window.wait_for_end()
    assert window.ui.runLabel.text.startswith("Stopped")


def test_a_failed_training_tells_its_last_error_once(window, caplog):
    window.add_dataset()
    window.ui.seedSpinBox.setValue(13)
    window.train()
    assert "the scouts are damaged. Restore them." in window.ui.runLabel.text
    window.settle()
    assert caplog.text.count("The training failed: set/studies/a: the scouts are damaged") == 1
    assert "before its first checkpoint" in window.ui.resumeButton.toolTip
    assert window.ui.startButton.enabled


def test_a_training_outlives_the_window_and_is_found_again(window):
    window.add_dataset()
    window.engine.slow = True
    window.start()
    window.wait_for_numbers()
    folder = window.run.folder
    window.reopen()
    assert window.run.running
    assert window.run.folder == folder
    assert not window.ui.openRunButton.enabled
    window.click(window.ui.stopButton)
    window.wait_for_end()
    assert not is_running(folder)
    assert window.ui.runLabel.text.startswith("Stopped")


def test_a_run_at_work_is_opened_by_its_folder(window):
    window.add_dataset()
    window.engine.slow = True
    window.start()
    window.wait_for_numbers()
    folder = window.run.folder
    window.run.forget()
    window.choices.change(run="")
    window.choose_folder(window.ui.openRunButton, folder)
    assert window.run.running
    window.click(window.ui.stopButton)
    assert window.ui.stopButton.text == "Stop at once" or not window.run.running
    assert not window.run.can_kill
    window.wait_for_end()


def test_a_folder_without_a_run_is_refused(window, caplog):
    window.choose_folder(window.ui.openRunButton, window.folder)
    assert "does not hold a run" in caplog.text
    assert window.run.folder is None


def test_a_folder_that_cannot_be_written_is_an_error_in_words(window, caplog):
    window.add_dataset()
    (window.folder / "file").write_text("", encoding="utf-8")
    window.ui.outputPath.currentPath = str(window.folder / "file")
    window.settle()
    window.start()
    assert "cannot be started" in caplog.text
    assert window.ui.startButton.enabled


def test_the_log_shows_what_the_process_said(window):
    window.add_dataset()
    window.train()
    assert window.ui.logText.plainText == ""
    window.ui.logSection.checked = True
    window.settle()
    assert window.ui.logText.plainText.splitlines()[-1] == "step 5 of 5"


def test_packages_are_asked_for_by_the_first_training(window, monkeypatch):
    import importlib.util

    find_spec = importlib.util.find_spec
    hidden = ("torch", "ignite")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in hidden else find_spec(name))
    window.add_dataset()
    assert window.app.packaging.requests == []
    window.app.packaging.declined = True
    window.start()
    (asked,) = window.app.packaging.requests
    assert asked == ["torch>=2.2", "monai>=1.3", "pytorch-ignite", "onnx", "onnxruntime>=1.16"]
    assert window.engine.commands == []
