"""The panel as a whole: scenes come and go, the module is reloaded, results are exported."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.files.resources import resource_path
from fake_detection import NOT_FOUND
from standin.sizes import minimum_size

slicer = pytest.importorskip("slicer", exc_type=ImportError)

MODULE = Path(__file__).resolve().parents[2] / "AutoVolumeCalibration" / "AutoVolumeCalibration.py"
WIDGETS = MODULE.parent / "AutoVolumeCalibrationLib" / "widgets"


def save_and_load(panel, path: Path) -> None:
    """Save the scene, close it, load it, as on another machine: files of adjusted protocols are not there."""
    assert panel.app.scene.WriteToMRB(str(path))
    panel.app.scene.Clear(False)
    panel.settle()
    assert panel.current.study is None
    shutil.rmtree(Path(slicer.app.temporaryPath) / "AutoVolumeCalibration", ignore_errors=True)
    assert panel.app.scene.ReadFromMRB(str(path), False)
    panel.settle()


def test_closing_the_scene_empties_the_panel(planned):
    planned.app.scene.Clear(False)
    planned.settle()
    assert planned.ui.landmarksTable.rowCount == 0
    assert planned.ui.verdictLabel.text == "No plan yet"
    assert planned.ui.boxLabel.text == "No box yet: calibrate first."
    assert not planned.ui.calibrateButton.enabled
    assert not planned.ui.undoButton.enabled
    planned.load()
    planned.calibrate()
    assert planned.calibration is not None


def test_a_saved_scene_brings_everything_back(planned, tmp_path):
    planned.move("AC", [0, 5, 0])
    planned.ui.leftMargin.setValue(9)
    planned.settle()
    moved, box = planned.place_of("AC"), planned.calibration.box
    save_and_load(planned, tmp_path / "scene.mrb")
    assert planned.current.study.name == "Study 1"
    assert planned.place_of("AC") == pytest.approx(moved)
    assert planned.row("AC").status == "set by you"
    assert planned.row(NOT_FOUND).status.startswith("missing")
    assert planned.calibration.box.size_mm == pytest.approx(box.size_mm)
    assert planned.ui.leftMargin.value == 9
    assert planned.ui.sagittalSelector.currentNode().GetName() == "Study 1 sagittal"


def test_a_loaded_scene_can_be_corrected_adjusted_and_undone(planned, tmp_path):
    planned.ui.leftMargin.setValue(9)
    planned.settle()
    save_and_load(planned, tmp_path / "scene.mrb")
    start = planned.place_of("AC")
    planned.move("AC", [0, 5, 0])
    planned.ui.rightMargin.setValue(11)
    planned.settle()
    for _ in range(2):
        planned.click(planned.ui.undoButton)
    assert planned.place_of("AC") == pytest.approx(start)
    assert (planned.ui.leftMargin.value, planned.ui.rightMargin.value) == (9, 5)


def test_the_study_shown_when_the_scene_was_saved_is_shown_again(planned, tmp_path):
    first = planned.current.study.node
    planned.load()
    planned.ui.studySelector.setCurrentNode(first)
    planned.settle()
    save_and_load(planned, tmp_path / "scene.mrb")
    assert [study.name for study in planned.current.engine.studies()] == ["Study 1", "Study 2"]
    assert planned.current.study.name == "Study 1"


def test_deleting_the_study_or_its_results_is_survived(planned):
    planned.app.scene.RemoveNode(planned.current.study.landmarks)
    planned.app.scene.RemoveNode(planned.current.study.scan_box)
    planned.settle()
    planned.ui.leftMargin.setValue(8)
    planned.settle()
    assert planned.landmarks.GetNumberOfControlPoints() == 45
    planned.app.scene.RemoveNode(planned.current.study.node)
    planned.settle()
    assert planned.current.study is None
    assert planned.ui.verdictLabel.text == "No plan yet"


def test_a_reload_leaves_no_observers_and_carries_on(planned):
    node, scene = planned.landmarks, planned.app.scene
    planned.widget.cleanup()
    planned.settle()
    start = np.array(node.GetNthControlPointPositionWorld(0))
    node.SetNthControlPointPositionWorld(0, *(start + [0, 5, 0]))
    planned.settle()
    assert planned.current.study is None
    again = planned.app.open_module(MODULE).panel
    planned.settle()
    assert again.current.study.name == "Study 1"
    assert again.ui.landmarksTable.rowCount == 45
    assert scene is slicer.mrmlScene


def test_what_the_console_plans_is_shown_and_can_be_undone(planned):
    from AutoVolumeCalibrationLib.mrml.engine import CalibrationEngine

    engine, before = CalibrationEngine(planned.app.scene), planned.calibration
    (study,) = engine.studies()
    moved = [mark.corrected(mark.position_mm + [0, 0, 9]) for mark in before.landmarks if mark.name == "AC"]
    from AutoVolumeCalibrationLib.core.workflow.pipeline import refit

    engine.show(study, refit(before, moved))
    planned.settle()
    assert planned.row("AC").status == "set by you"
    assert planned.calibration.box.center_mm == pytest.approx(engine.calibration(study).box.center_mm)
    planned.click(planned.ui.undoButton)
    assert planned.row("AC").status == "found"
    assert engine.calibration(study).box.axes == pytest.approx(before.box.axes)


def test_a_first_plan_from_the_console_is_shown(panel):
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.workflow.manual_planning import plan_by_hand
    from calibrations import scout_stacks

    panel.load()
    engine = panel.widget.logic.engine
    engine.show(panel.current.study, plan_by_hand(scout_stacks(), load_protocol("BrainAcPc")))
    panel.settle()
    assert panel.ui.landmarksTable.rowCount == 45


def test_the_console_snippet_of_the_user_guide_runs_and_the_panel_shows_its_plan(panel, capsys):
    from AutoVolumeCalibrationLib.core.files.resources import resource_path

    guide = (MODULE.parents[1] / "docs" / "user_guide.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    scouts = resource_path("SampleData", "ColinScouts", "dicom").as_posix()
    exec(snippet.replace("/path/to/scouts", scouts), {"slicer": slicer})
    assert "FOV read/phase" in capsys.readouterr().out
    panel.ui.studySelector.setCurrentNode(panel.current.engine.studies()[0].node)
    panel.settle()
    assert panel.ui.landmarksTable.rowCount == 45


def test_the_results_are_exported_as_the_command_line_writes_them(planned, tmp_path):
    from AutoVolumeCalibrationLib.core.storage.results import read_results

    folder = tmp_path / "results"
    folder.mkdir()
    planned.ui.sceneCheckBox.checked = True
    planned.app.dialogs.answer("QFileDialog.getExistingDirectory", str(folder))
    planned.click(planned.ui.exportButton)
    assert {path.name for path in folder.iterdir()} == {
        "landmarks.mrk.json",
        "scanbox.mrk.json",
        "calibration.json",
        "overview.png",
        "scene.mrb",
    }
    assert read_results(folder).box.size_mm == pytest.approx(planned.calibration.box.size_mm)
    assert "5 files saved" in planned.ui.statusLabel.text


def test_an_adjusted_protocol_goes_with_the_results(planned, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    planned.ui.pictureCheckBox.checked = False
    planned.ui.leftMargin.setValue(9)
    planned.settle()
    planned.app.dialogs.answer("QFileDialog.getExistingDirectory", str(folder))
    planned.click(planned.ui.exportButton)
    data = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
    assert data["protocol_file"] == str(folder / "protocol.json")
    protocol = json.loads((folder / "protocol.json").read_text(encoding="utf-8"))
    assert protocol["boxes"][0]["faces"]["left"]["margin_mm"] == 9


def test_results_are_only_replaced_when_a_person_agrees(planned, tmp_path):
    import qt

    (tmp_path / "calibration.json").write_text("precious", encoding="utf-8")
    planned.ui.pictureCheckBox.checked = False
    for answer, kept in ((qt.QMessageBox.Cancel, True), (qt.QMessageBox.Ok, False)):
        planned.app.dialogs.answer("QFileDialog.getExistingDirectory", str(tmp_path))
        planned.app.dialogs.answer("QMessageBox", answer)
        planned.click(planned.ui.exportButton)
        assert ((tmp_path / "calibration.json").read_text(encoding="utf-8") == "precious") is kept


def test_a_folder_that_cannot_be_written_is_an_error_in_words(planned, tmp_path, caplog):
    (tmp_path / "file").write_text("", encoding="utf-8")
    planned.app.dialogs.answer("QFileDialog.getExistingDirectory", str(tmp_path / "file"))
    planned.click(planned.ui.exportButton)
    assert "cannot be created" in caplog.text


def test_model_and_device_are_handed_on(planned, tmp_path):
    shutil.copytree(resource_path("Models", "brain-scout", "configs"), tmp_path / "MyModel" / "configs")
    planned.app.dialogs.answer("QFileDialog.getExistingDirectory", str(tmp_path / "MyModel"))
    planned.click(planned.ui.modelFolderButton)
    planned.ui.deviceComboBox.setCurrentIndex(planned.ui.deviceComboBox.findData("cpu"))
    planned.calibrate()
    settings = planned.detection.calls[-1][1]
    assert (settings.model, settings.device) == (str(tmp_path / "MyModel"), "cpu")


def test_the_module_s_own_test_runs(panel):
    import sys

    sys.modules["AutoVolumeCalibration"].AutoVolumeCalibrationTest().runTest()


def test_in_a_fresh_application_the_module_s_own_test_is_skipped_with_a_reason(panel, monkeypatch):
    import sys
    import unittest

    from AutoVolumeCalibrationLib.widgets import requirements

    monkeypatch.setattr(type(requirements.PLANNING), "missing", lambda _group: ["threadpoolctl>=3.1"])
    test = sys.modules["AutoVolumeCalibration"].AutoVolumeCalibrationTest
    with pytest.raises(unittest.SkipTest, match=r"threadpoolctl>=3\.1 not installed"):
        test().test_a_moved_point_moves_the_box()
    test().runTest()


def test_every_widget_of_the_ui_file_is_used_or_only_decoration(panel):
    text = "".join(path.read_text(encoding="utf-8") for path in WIDGETS.glob("*.py"))
    ui = (MODULE.parent / "Resources" / "UI" / "AutoVolumeCalibration.ui").read_text(encoding="utf-8")
    named = re.findall(r'<widget class="(?!QLabel|ctkCollapsibleButton|qMRMLWidget)\w+" name="(\w+)"', ui)
    derived = ("Selector", "Margin", "Tab")
    unused = [name for name in named if f"ui.{name}" not in text and not name.endswith(derived)]
    assert unused == []
    assert len(named) > 30


#: What Slicer leaves a module panel of a screen of 1366 x 768: without menu, toolbars, module selector and data probe.
PANEL_SIZE = (432, 560)


def test_on_a_small_screen_the_table_has_room_and_the_export_is_reached(planned):
    from AutoVolumeCalibrationLib.widgets.landmarks_section import ROW_HEIGHT

    parent = planned.widget.parent
    parent.resize(*PANEL_SIZE)
    planned.settle()
    assert minimum_size(parent).height() <= PANEL_SIZE[1]
    table = planned.ui.landmarksTable
    assert table.height // ROW_HEIGHT >= 10
    planned.ui.tabs.setCurrentWidget(planned.ui.exportTab)
    planned.settle()
    for button in (planned.ui.exportButton, planned.ui.trainingSetButton):
        corner = button.mapTo(parent, button.rect.bottomRight())
        assert corner.y() <= PANEL_SIZE[1]
    parent.resize(PANEL_SIZE[0], PANEL_SIZE[1] + 300)
    planned.ui.tabs.setCurrentWidget(planned.ui.landmarksTab)
    planned.settle()
    assert table.height > 400


def test_the_panel_is_not_wider_than_a_small_screen_allows(planned):
    assert minimum_size(planned.widget.parent).width() <= 460
