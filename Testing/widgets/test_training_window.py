"""The training window: data, recipe, run, result; trainings are processes of a script that behaves as one."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)

from AutoVolumeCalibrationLib.core.errors import InputError  # noqa: E402
from LandmarkTrainingLib.core.datasets.findings import (  # noqa: E402
    Finding,  # noqa: E402
    report,  # noqa: E402
)
from LandmarkTrainingLib.core.runs.run_process import is_running  # noqa: E402
from standin.sizes import minimum_size  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
WIDGETS = ROOT / "LandmarkTraining" / "LandmarkTrainingLib" / "widgets"
UI = ROOT / "LandmarkTraining" / "Resources" / "UI" / "LandmarkTraining.ui"

SWAPPED = Finding("error", "case_3", "left and right are swapped", "Swap the names.")
LACKING = Finding("warning", "case_4", "lacks GENU", "Place it.")


def check(window) -> None:
    window.click(window.ui.checkButton)
    window.wait(lambda: not window.panel.data.checking)


def last_settings(window) -> dict[str, object]:
    arguments = window.engine.commands[-1]
    pairs = [value.split("=", 1) for flag, value in zip(arguments, arguments[1:], strict=False) if flag == "--set"]
    return {name: json.loads(value) for name, value in pairs}


def combo_to(window, combo, data: str) -> None:
    combo.setCurrentIndex(combo.findData(data))
    window.settle()


# Data


def test_an_empty_window_says_what_to_do_first(window):
    assert "Add a data set" in window.next
    assert not window.ui.startButton.enabled
    assert "Add a data set" in window.ui.startButton.toolTip
    assert not window.ui.reportBrowser.visible


def test_the_training_set_of_the_other_module_is_offered(window):
    slicer.app.userSettings().setValue("AutoVolumeCalibration/TrainingSet", "/data/grown")
    window.app.scene.Clear(False)
    window.settle()
    window.reopen()
    assert window.choices.now.datasets == ("/data/grown",)


def test_both_modules_mean_the_same_setting():
    def constant(path: Path) -> str:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = [node for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "TRAINING_SET"]
        return named[0].value.value

    other = ROOT / "AutoVolumeCalibration" / "AutoVolumeCalibrationLib" / "widgets" / "export_section.py"
    assert constant(WIDGETS / "data_section.py") == constant(other)


def test_data_sets_are_listed_with_their_sizes_and_taken_out_again(window):
    folder = window.add_dataset("a")
    window.add_dataset("b")
    table = window.ui.datasetsTable
    assert [table.item(0, column).text() for column in range(3)] == ["a", "6", "6"]
    assert not window.ui.removeDatasetButton.enabled
    table.selectRow(1)
    window.settle()
    window.click(window.ui.removeDatasetButton)
    assert window.choices.now.datasets == (str(folder),)
    assert table.rowCount == 1


def test_a_data_set_added_twice_is_one(window):
    window.add_dataset("a")
    window.add_dataset("a")
    assert window.ui.datasetsTable.rowCount == 1


@pytest.mark.parametrize(
    ("size", "reason"),
    [((0, 0, ""), "holds no studies"), ((0, 0, "dataset.json: is damaged"), "dataset.json: is damaged")],
)
def test_a_folder_that_is_no_data_set_is_explained(window, size, reason):
    from fake_engine import Size

    window.engine.sizes[str(window.folder / "cases")] = Size(*size)
    window.add_dataset()
    assert reason in window.next
    assert reason in window.ui.startButton.toolTip


def test_the_validation_set_is_not_learnt_from(window):
    folder = window.add_dataset()
    window.ui.validationPath.currentPath = str(folder)
    window.settle()
    assert "must not be used for training" in window.ui.startButton.toolTip


def test_a_check_lists_what_is_wrong_the_worst_first(window):
    window.add_dataset()
    assert "check the data" in window.next
    window.engine.findings = [LACKING, SWAPPED]
    check(window)
    text = window.ui.reportBrowser.plainText
    assert text.index("case_3: left and right are swapped") < text.index("case_4: lacks GENU")
    assert "Swap the names" in text
    assert window.engine.checked == [(str(window.folder / "cases"), "BrainAcPc")]
    assert "correct the errors" in window.next


def test_the_window_lives_while_the_data_are_checked(window):
    window.add_dataset()
    window.engine.gate.clear()
    window.click(window.ui.checkButton)
    assert window.ui.reportBrowser.plainText == "Checking..."
    assert not window.ui.checkButton.enabled
    window.ui.seedSpinBox.setValue(4)
    window.engine.gate.set()
    window.wait(lambda: not window.panel.data.checking)
    assert window.choices.now.seed == 4
    assert window.ui.reportBrowser.plainText.strip() == report([], 6).strip()


def test_other_data_want_another_check(window):
    window.add_dataset("a")
    check(window)
    assert "start the training" in window.next
    window.add_dataset("b")
    assert "check the data" in window.next
    check(window)
    assert "a\n" in window.ui.reportBrowser.plainText


@pytest.mark.parametrize(
    ("error", "shown"),
    [(InputError("is damaged", source="dataset.json"), "dataset.json: is damaged"), (KeyError("x"), "Internal error")],
)
def test_a_check_that_fails_tells_why(window, caplog, error, shown):
    window.add_dataset()
    window.engine.findings = error
    check(window)
    assert shown in caplog.text
    assert window.panel.data.found is None
    assert window.ui.checkButton.enabled


def test_errors_in_the_data_are_asked_about_before_they_are_learnt(window):
    import qt

    window.add_dataset()
    window.engine.findings = [SWAPPED]
    check(window)
    window.app.dialogs.answer("QMessageBox", qt.QMessageBox.Cancel)
    window.start()
    assert window.engine.commands == []
    window.app.dialogs.answer("QMessageBox", qt.QMessageBox.Ok)
    window.train()
    assert len(window.engine.commands) == 1


# Recipe


def test_the_first_recipe_fine_tunes_the_current_model(window):
    window.add_dataset()
    window.set_validation()
    window.train()
    arguments = window.engine.commands[-1]
    assert arguments[0] == "finetune"
    assert arguments[arguments.index("--dataset") + 1] == str(window.folder / "cases")
    assert arguments[arguments.index("--validation") + 1] == str(window.folder / "validation")
    assert "--model" not in arguments
    assert last_settings(window) == {"device": "auto", "seed": 0}


def test_the_model_that_it_starts_from_follows_the_anatomy(window):
    assert window.ui.baseComboBox.itemText(0) == "current (brain-scout)"
    window.ui.extraText.plainText = "protocol=KneeSagittal"
    assert window.ui.baseComboBox.itemText(0) == "current (nearest to KneeSagittal)"
    window.ui.extraText.plainText = ""
    assert window.ui.baseComboBox.itemText(0) == "current (brain-scout)"


def test_everything_under_advanced_reaches_the_command(window):
    ui = window.ui
    window.add_dataset()
    (window.folder / "mine").mkdir()
    window.choose_folder(ui.baseFolderButton, window.folder / "mine")
    ui.stepsSpinBox.setValue(7)
    ui.rateSpinBox.setValue(0.001)
    ui.seedSpinBox.setValue(3)
    ui.extraText.plainText = "batch_size=4\nschedule=constant"
    combo_to(window, ui.deviceComboBox, "cpu")
    window.train()
    arguments = window.engine.commands[-1]
    assert arguments[arguments.index("--model") + 1] == str(window.folder / "mine")
    assert Path(arguments[arguments.index("--output") + 1]).parent == window.folder / "runs"
    settings = {"device": "cpu", "seed": 3, "steps": 7, "learning_rate": 0.001, "batch_size": 4, "schedule": "constant"}
    assert last_settings(window) == settings | {"folds": 5}


def test_a_recipe_for_label_maps_needs_label_maps_and_no_studies(window):
    combo_to(window, window.ui.recipeComboBox, "labels")
    assert "label maps" in window.next
    assert not window.ui.baseComboBox.enabled
    assert "random weights" in window.ui.baseComboBox.toolTip
    window.ui.labelsPath.currentPath = str(window.folder / "absent")
    window.settle()
    assert "is not a folder" in window.next
    window.ui.labelsPath.currentPath = str(window.folder)
    window.settle()
    window.train()
    assert window.engine.commands[-1][0] == "train"
    assert "--dataset" not in window.engine.commands[-1]


@pytest.mark.parametrize(
    ("text", "shown"), [("steps", "NAME=VALUE"), ("stepps=3", "unknown setting"), ("steps=a", "int")]
)
def test_a_wrong_setting_is_named_before_anything_starts(window, text, shown):
    window.add_dataset()
    window.ui.extraText.plainText = text
    window.settle()
    assert not window.ui.startButton.enabled
    assert shown in window.ui.startButton.toolTip


def test_the_recipe_of_a_new_anatomy_asks_for_its_protocol(window):
    window.add_dataset()
    combo_to(window, window.ui.recipeComboBox, "anatomy")
    assert "Name the protocol of the anatomy" in window.next
    window.ui.extraText.plainText = "protocol=paw/PawBox.json"
    window.settle()
    window.train()
    assert window.engine.commands[-1][0] == "finetune"
    assert last_settings(window)["protocol"] == "paw/PawBox.json"


def test_ones_own_loss_is_named_to_the_training_and_never_kept_in_the_scene(window):
    window.add_dataset()
    window.ui.lossEdit.text = "mine/loss.py"
    window.settle()
    assert "PATH/loss.py:function" in window.next
    window.ui.lossEdit.text = "mine/loss.py:smooth"
    window.settle()
    window.train()
    arguments = window.engine.commands[-1]
    assert arguments[arguments.index("--loss-file") + 1] == "mine/loss.py:smooth"
    assert "loss.py" not in str(window.choices.now)
    window.reopen()
    assert window.ui.lossEdit.text == ""


def test_a_resumed_run_is_given_ones_own_loss_again(window):
    window.add_dataset()
    window.ui.lossEdit.text = "loss.py:smooth"
    window.engine.slow = True
    window.start()
    window.wait_for_numbers()
    window.click(window.ui.stopButton)
    window.wait_for_end()
    window.engine.slow = False
    window.click(window.ui.resumeButton)
    assert window.engine.commands[-1][-2:] == ["--loss-file", "loss.py:smooth"]


def test_the_protocol_of_the_settings_is_the_one_that_is_checked(window):
    window.add_dataset()
    window.ui.extraText.plainText = "protocol=Knee"
    check(window)
    assert window.engine.checked[0][1] == "Knee"


# Run


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
    combo_to(window, window.ui.pictureComboBox, "kernels")
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


# Result


def test_a_better_model_is_used_and_taken_back(window):
    window.add_dataset()
    window.set_validation()
    assert "There is a new model when the training is finished" in window.ui.compareButton.toolTip
    window.train()
    assert "compare the new model" in window.next
    assert not window.ui.promoteButton.enabled
    window.compare()
    bundle = window.run.folder / "bundle"
    assert window.engine.commands[-1][:3] == ["compare", "current", str(bundle)]
    assert window.ui.resultTable.item(0, 2).text().startswith("1.40")
    said = window.ui.verdictLabel.text.splitlines()
    assert said[0] == "Better in rotation of the box (8 people)." and "90 % interval" in said[1]
    assert "9 studies of 8 people" in said[-1]
    window.click(window.ui.promoteButton)
    window.wait(lambda: window.panel.result.used)
    assert window.engine.names == ["brain-scout", "tuned-1"] and window.engine.decisions == [False]
    assert not window.ui.promoteButton.enabled
    assert "current (tuned-1)" in [window.ui.baseComboBox.itemText(0)]
    assert "in use" in window.next
    window.click(window.ui.rollBackButton)
    assert window.engine.names == ["brain-scout"]
    assert not window.ui.rollBackButton.enabled


def test_with_few_people_the_user_decides_after_reading_the_evidence(window):
    import qt

    window.add_dataset()
    window.set_validation()
    window.engine.people = 2
    window.train()
    window.compare()
    assert window.ui.verdictLabel.text.startswith("Not enough people to say: 2, at least 6 are needed.\nRotation")
    assert "unless you decide otherwise" in window.next
    assert "not shown to be better" in window.ui.promoteButton.toolTip
    window.app.dialogs.answer("QMessageBox", qt.QMessageBox.Cancel)
    window.click(window.ui.promoteButton)
    assert window.engine.decisions == [] and window.engine.names == ["brain-scout"]
    window.app.dialogs.answer("QMessageBox", qt.QMessageBox.Ok)
    window.click(window.ui.promoteButton)
    window.wait(lambda: window.panel.result.used)
    assert window.engine.decisions == [True] and window.engine.names == ["brain-scout", "tuned-1"]
    asked = window.app.dialogs.shown[-1].text
    assert "Not enough people to say: 2" in asked and "90 % interval -0.90 to -0.50" in asked
    assert "Every plan is made with it. The decision is recorded" in asked
    window.click(window.ui.rollBackButton)
    assert window.engine.names == ["brain-scout"]


def test_a_protocol_is_named_to_the_comparison_only_where_the_user_names_one(window):
    """Else the box is the one that the studies were planned with."""
    window.add_dataset()
    window.set_validation()
    window.train()
    window.compare()
    assert "--protocol" not in window.engine.commands[-1]
    window.ui.extraText.plainText = "protocol=BrainHippocampus"
    window.compare()
    assert window.engine.commands[-1][-4:-2] == ["--protocol", "BrainHippocampus"]


def test_a_model_that_is_worse_is_never_used(window):
    window.add_dataset()
    window.set_validation()
    window.engine.better = False
    window.train()
    window.compare()
    assert not window.ui.promoteButton.enabled
    assert "Worse in rotation of the box: 2.30 deg" in window.ui.promoteButton.toolTip
    assert "current model stays: the new one is worse" in window.next


def test_without_a_validation_set_models_are_not_compared(window):
    window.add_dataset()
    window.train()
    assert not window.ui.compareButton.enabled
    assert "validation set" in window.ui.compareButton.toolTip
    assert "validation set" in window.next


def test_another_training_has_a_comparison_of_its_own(window):
    window.add_dataset()
    window.set_validation()
    window.train()
    window.compare()
    assert window.panel.result.comparison is not None
    window.train()
    assert window.panel.result.comparison is None
    assert not window.ui.resultTable.visible
    assert not window.ui.promoteButton.enabled


def test_a_comparison_can_be_stopped_and_is_no_error(window, caplog):
    window.add_dataset()
    window.set_validation()
    window.train()
    window.engine.slow = True
    window.click(window.ui.compareButton)
    assert "Comparing" in window.next
    assert not window.ui.compareButton.visible
    window.click(window.ui.stopCompareButton)
    window.wait(lambda: not window.panel.comparing.running)
    assert window.ui.compareButton.enabled
    assert "compare the new model" in window.next
    assert caplog.text == ""


def test_a_comparison_that_fails_tells_why(window, caplog):
    window.add_dataset()
    window.set_validation()
    window.train()
    window.ui.extraText.plainText = "protocol=Knee"
    window.compare()
    assert "The comparison failed: the protocol Knee does not fit the model" in caplog.text
    assert not window.ui.promoteButton.enabled


def test_a_promotion_that_fails_tells_why_and_changes_nothing(window, caplog):
    window.add_dataset()
    window.set_validation()
    window.train()
    window.compare()
    (window.run.folder / "bundle").rmdir()
    window.click(window.ui.promoteButton)
    window.wait(lambda: "is no bundle" in caplog.text)
    assert window.engine.names == ["brain-scout"]
    assert not window.panel.result.used


# The window as a whole


def test_choices_are_saved_with_the_scene(window, tmp_path):
    window.add_dataset()
    combo_to(window, window.ui.recipeComboBox, "scn")
    window.ui.stepsSpinBox.setValue(70)
    path = str(tmp_path / "scene.mrb")
    assert window.app.scene.WriteToMRB(path)
    window.app.scene.Clear(False)
    window.settle()
    assert window.ui.datasetsTable.rowCount == 0
    assert window.ui.stepsSpinBox.value == 0
    assert window.app.scene.ReadFromMRB(path, False)
    window.settle()
    assert window.ui.datasetsTable.item(0, 0).text() == "cases"
    assert window.ui.recipeComboBox.itemData(window.ui.recipeComboBox.currentIndex) == "scn"
    assert window.ui.stepsSpinBox.value == 70


def test_closing_the_scene_leaves_a_training_alone(window):
    window.add_dataset()
    window.engine.slow = True
    window.start()
    window.wait_for_numbers()
    window.app.scene.Clear(False)
    window.settle()
    assert window.run.running
    count = len(window.run.watch.rows)
    window.wait(lambda: len(window.run.watch.rows) > count)
    assert len(slicer.util.getNodesByClass("vtkMRMLTableNode")) == 1
    window.click(window.ui.stopButton)
    window.wait_for_end()


def test_a_closed_window_leaves_no_observers(window):
    window.add_dataset()
    window.widget.cleanup()
    window.settle()
    window.app.scene.Clear(False)
    window.settle()
    window._open()
    assert window.ui.datasetsTable.rowCount == 0


def test_nothing_heavy_is_loaded_by_opening_the_window(tmp_path):
    import subprocess
    import sys

    script = (
        "import sys; from pathlib import Path; from standin.session import installed\n"
        "with installed(Path(sys.argv[1])) as app:\n"
        "    app.open_module(Path(sys.argv[2]))\n"
        "    print([name for name in ('torch', 'monai', 'ignite', 'SimpleITK', 'pydicom') if name in sys.modules])\n"
    )
    paths = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]
    code = f"import sys; sys.path[:0] = {paths!r}\n{script}"
    module = str(ROOT / "LandmarkTraining" / "LandmarkTraining.py")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), module], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_the_module_s_own_test_runs(window, tmp_path):
    import sys

    from LandmarkTrainingLib.widgets.core_engine import CoreEngine

    window.engine = CoreEngine()
    sys.modules["LandmarkTraining"].LandmarkTrainingTest().runTest()


def test_in_a_fresh_application_the_module_s_own_test_is_skipped_with_a_reason(window, monkeypatch):
    import sys
    import unittest

    from LandmarkTrainingLib.widgets import requirements

    monkeypatch.setattr(type(requirements.READING), "missing", lambda _group: ["jsonschema>=4.18"])
    test = sys.modules["LandmarkTraining"].LandmarkTrainingTest
    with pytest.raises(unittest.SkipTest, match=r"jsonschema>=4\.18 not installed"):
        test().test_a_corrected_study_becomes_a_training_set()
    test().runTest()


def test_every_widget_of_the_ui_file_is_used_or_only_decoration(window):
    text = "".join(path.read_text(encoding="utf-8") for path in WIDGETS.glob("*.py"))
    named = re.findall(
        r'<widget class="(?!QLabel|ctkCollapsibleButton|qMRMLWidget)\w+" name="(\w+)"', UI.read_text(encoding="utf-8")
    )
    assert [name for name in named if f"ui.{name}" not in text] == []
    assert len(named) > 25


def test_the_window_fits_a_small_screen(window):
    window.add_dataset()
    window.engine.findings = [SWAPPED]
    check(window)
    hint = minimum_size(window.widget.parent)
    assert hint.width() <= 460
    assert hint.height() <= 768
    window.engine.findings = []
    check(window)
    window.set_validation()
    window.train()
    window.compare()
    assert minimum_size(window.widget.parent).height() <= 768
