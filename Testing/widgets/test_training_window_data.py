"""The data of the training window: sets, their check, what is learnt from."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)

from AutoVolumeCalibrationLib.core.errors import InputError  # noqa: E402
from LandmarkTrainingLib.core.datasets.findings import Finding, report  # noqa: E402
from training_window import SWAPPED  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

LACKING = Finding("warning", "case_4", "lacks GENU", "Place it.")


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

    trains = ROOT / "LandmarkTraining" / "LandmarkTrainingLib" / "widgets" / "data_section.py"
    plans = ROOT / "AutoVolumeCalibration" / "AutoVolumeCalibrationLib" / "widgets" / "export_section.py"
    assert constant(trains) == constant(plans)


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
    window.check()
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
    window.check()
    assert "start the training" in window.next
    window.add_dataset("b")
    assert "check the data" in window.next
    window.check()
    assert "a\n" in window.ui.reportBrowser.plainText


@pytest.mark.parametrize(
    ("error", "shown"),
    [(InputError("is damaged", source="dataset.json"), "dataset.json: is damaged"), (KeyError("x"), "Internal error")],
)
def test_a_check_that_fails_tells_why(window, caplog, error, shown):
    window.add_dataset()
    window.engine.findings = error
    window.check()
    assert shown in caplog.text
    assert window.panel.data.found is None
    assert window.ui.checkButton.enabled


def test_errors_in_the_data_are_asked_about_before_they_are_learnt(window):
    import qt

    window.add_dataset()
    window.engine.findings = [SWAPPED]
    window.check()
    window.app.dialogs.answer("QMessageBox", qt.QMessageBox.Cancel)
    window.start()
    assert window.engine.commands == []
    window.app.dialogs.answer("QMessageBox", qt.QMessageBox.Ok)
    window.train()
    assert len(window.engine.commands) == 1
