"""Inputs: scouts come from files or from the scene, and what is missing is said in words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)

SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "ColinScouts"


def load_volume(panel, plane: str):
    """A scout of one plane in the scene, as any other module would load it."""
    from AutoVolumeCalibrationLib.mrml.scouts_from_nodes import volume_nodes_from_stack
    from calibrations import scout_stacks

    (node,) = volume_nodes_from_stack(panel.app.scene, scout_stacks(planes=[plane])[0], f"{plane} scout")
    panel.settle()
    return node


def test_without_scouts_nothing_can_be_done_and_the_tooltips_say_why(panel):
    assert not panel.ui.calibrateButton.enabled
    assert not panel.ui.byHandButton.enabled
    assert "Load scouts" in panel.ui.calibrateButton.toolTip
    assert panel.ui.scoutsLabel.text == panel.ui.calibrateButton.toolTip
    for name in ("place", "restore", "restoreAll", "lock", "undo", "redo", "follow", "saveProtocol", "export"):
        button = getattr(panel.ui, f"{name}Button")
        assert not button.enabled, name
        assert button.toolTip, name


def test_a_folder_is_loaded_in_the_background_and_fills_the_selectors(panel):
    panel.app.dialogs.answer("QFileDialog.getExistingDirectory", str(SAMPLE / "dicom"))
    panel.ui.loadFolderButton.click()
    assert panel.panel.jobs.busy
    assert not panel.ui.loadFolderButton.enabled
    panel.wait()
    assert [getattr(panel.ui, f"{plane}Selector").currentNode().GetName() for plane in ("sagittal", "axial")] == [
        "Study 1 sagittal",
        "Study 1 axial",
    ]
    assert panel.ui.calibrateButton.enabled
    assert panel.ui.studySelector.currentNode().GetName() == "Study 1"


def test_files_are_loaded(panel):
    files = [str(SAMPLE / f"{plane}.nrrd") for plane in ("sagittal", "coronal")]
    panel.app.dialogs.answer("QFileDialog.getOpenFileNames", files)
    panel.ui.loadFilesButton.click()
    panel.wait()
    assert panel.ui.scoutsLabel.text == "No axial scout: the plan will use two planes only."
    assert panel.ui.calibrateButton.enabled


@pytest.mark.parametrize(
    ("button", "kind", "answer"),
    [("loadFolder", "getExistingDirectory", ""), ("loadFiles", "getOpenFileNames", [])],
)
def test_a_cancelled_file_dialog_loads_nothing(panel, button, kind, answer):
    panel.app.dialogs.answer(f"QFileDialog.{kind}", answer)
    getattr(panel.ui, f"{button}Button").click()
    assert not panel.panel.jobs.busy


def test_the_series_selected_in_the_dicom_browser_are_loaded(panel, monkeypatch):
    panel.ui.loadDicomButton.click()
    assert "DICOM browser" in panel.ui.statusLabel.text
    files = [str(path) for path in sorted((SAMPLE / "dicom").glob("*.dcm"))]
    browser = SimpleNamespace(browserWidget=SimpleNamespace(fileLists=[files[:7], files[7:]]))
    monkeypatch.setattr(slicer.modules, "DICOMWidget", browser, raising=False)
    panel.ui.loadDicomButton.click()
    panel.wait()
    assert len(panel.current.study.scouts) == 3


@pytest.mark.parametrize("attributes", [{}, {"dicomVisualBrowser": 1}, {"dicomVisualBrowser": 1, "fileLists": []}])
def test_a_browser_that_does_not_state_its_selection_is_said(panel, monkeypatch, attributes):
    browser = SimpleNamespace(browserWidget=SimpleNamespace(**attributes))
    monkeypatch.setattr(slicer.modules, "DICOMWidget", browser, raising=False)
    panel.ui.loadDicomButton.click()
    assert "does not state which series are selected" in panel.ui.statusLabel.text
    assert "Load scouts..." in panel.ui.statusLabel.text


@pytest.mark.parametrize("plane", ["sagittal", "axial"])
def test_deleting_one_scout_keeps_the_rest_of_the_study(planned, plane):
    planned.move("AC", [0, 8, 0])
    moved = planned.place_of("AC")
    (scout,) = [node for node in planned.current.study.scouts if node.GetName().endswith(plane)]
    planned.app.scene.RemoveNode(scout)
    planned.settle()
    assert planned.current.study is not None
    assert planned.place_of("AC") == pytest.approx(moved)
    assert planned.row("AC").status == "set by you"
    assert planned.ui.scoutsLabel.text == f"No {plane} scout: the plan will use two planes only."
    assert planned.ui.calibrateButton.enabled
    planned.calibrate()
    assert len(planned.current.engine.studies()) == 1


def test_choosing_no_volume_for_a_plane_leaves_the_study(planned):
    planned.ui.axialSelector.setCurrentNode(None)
    planned.settle()
    assert planned.current.study is None


def test_an_unreadable_folder_is_an_error_that_names_it(panel, tmp_path, caplog):
    panel.app.dialogs.answer("QFileDialog.getExistingDirectory", str(tmp_path / "nothing"))
    panel.ui.loadFolderButton.click()
    panel.wait()
    assert "there is no such file or folder" in panel.ui.statusLabel.text
    assert str(tmp_path / "nothing") in caplog.text
    assert panel.ui.loadFolderButton.enabled


def test_volumes_of_the_scene_find_their_selectors_by_orientation(panel):
    load_volume(panel, "axial")
    assert panel.ui.axialSelector.currentNode().GetName() == "axial scout"
    assert panel.ui.sagittalSelector.currentNode() is None
    assert panel.ui.scoutsLabel.text == "Add a sagittal or a coronal scout: at least two planes are needed."
    assert not panel.ui.calibrateButton.enabled
    load_volume(panel, "sagittal")
    assert panel.ui.calibrateButton.enabled
    load_volume(panel, "coronal")
    panel.calibrate()
    assert len(panel.current.study.scouts) == 3
    assert panel.calibration is not None


def test_choosing_another_volume_leaves_the_study(planned):
    other = load_volume(planned, "axial")
    planned.ui.axialSelector.setCurrentNode(other)
    planned.settle()
    assert planned.current.study is None
    assert planned.ui.verdictLabel.text == "No plan yet"
    planned.calibrate()
    assert len(planned.current.engine.studies()) == 2


def test_switching_between_two_studies_brings_back_each_one_s_plan(planned):
    first = planned.current.study
    planned.move("AC", [0, 8, 0])
    moved = planned.place_of("AC")
    planned.load()
    assert planned.calibration is None
    planned.ui.studySelector.setCurrentNode(first.node)
    planned.settle()
    assert planned.place_of("AC") == pytest.approx(moved)
    assert planned.row("AC").status == "set by you"


def test_a_bent_scout_is_refused_in_words(planned):
    bend = planned.app.scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    planned.current.study.scouts[0].SetAndObserveTransformNodeID(bend.GetID())
    planned.panel.update()
    assert "bends it" in planned.ui.calibrateButton.toolTip
