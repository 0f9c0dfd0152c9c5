"""The protocol is the user's choice, or the scouts decide: which anatomy they show is looked at in the background."""

from __future__ import annotations

import json
import shutil

import pytest

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL, read_current, shipped_models, write_current
from fake_models import blank_stacks

slicer = pytest.importorskip("slicer", exc_type=ImportError)


@pytest.fixture
def user_models(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def promote_knee(folder) -> None:
    """The brain's network that says that it finds a knee: its channels are named as landmarks of nothing here."""
    shutil.copytree(shipped_models()[DEFAULT_MODEL], folder / "knee-1")
    path = folder / "knee-1" / "configs" / "metadata.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    for entry in data["landmarks"]:
        entry.update(name=f"OF_A_KNEE_{entry['name']}", mirror=None)
    path.write_text(json.dumps({**data, "anatomy": "knee", "protocols": ["KneeSagittal"]}), encoding="utf-8")
    write_current(read_current().with_model("knee", "knee-1"))


@pytest.fixture
def both(user_models, panel):
    """The panel with the models of two anatomies."""
    promote_knee(user_models)
    panel.widget.enter()
    panel.settle()
    return panel


def chosen(panel) -> str:
    return panel.ui.protocolComboBox.itemData(panel.ui.protocolComboBox.currentIndex)


def text(panel) -> str:
    return panel.ui.protocolComboBox.currentText


def choose(panel, name: str) -> None:
    combo_box = panel.ui.protocolComboBox
    combo_box.setCurrentIndex(combo_box.findData(name))
    combo_box.activated.emit(combo_box.currentIndex)
    panel.settle()


def test_with_one_anatomy_its_protocol_is_chosen_and_automatic_is_offered(panel):
    assert chosen(panel) == "BrainAcPc"
    assert panel.ui.protocolComboBox.itemText(0) == "Automatic"


def test_with_two_anatomies_the_scouts_decide_at_first(both):
    assert chosen(both) == "Automatic"
    both.load()
    both.calibrate()
    assert both.detection.calls[0][0] is None
    assert both.calibration.protocol.name == "BrainAcPc"


def test_what_was_recognised_and_taken_is_shown_with_its_side(both):
    both.detection.shown = "KneeSagittal"
    both.load()
    both.calibrate()
    assert both.calibration.protocol.name == "KneeSagittal"
    assert both.ui.statusLabel.text.startswith("Right knee (found in the images, probability ")
    assert "), protocol Knee, sagittal; " in both.ui.statusLabel.text
    assert (chosen(both), text(both)) == ("Automatic", "Automatic: right knee (Knee, sagittal)")
    both.load()
    assert text(both) == "Automatic", "the next study shows nothing yet"
    both.detection.shown = "BrainAcPc"
    both.calibrate()
    assert both.ui.statusLabel.text.startswith("Brain, protocol Brain, whole, AC-PC; 44 of 45 landmarks")
    assert text(both) == "Automatic: brain (Brain, whole, AC-PC)"


def test_what_no_model_is_sure_of_is_taken_in_doubt_until_the_user_decides(both):
    both.detection.unsure = True
    both.load()
    both.calibrate()
    assert text(both) == "Automatic, in doubt: brain (Brain, whole, AC-PC)"
    assert "unsure anatomy" in {check.name for check in both.calibration.checks}
    choose(both, "BrainHippocampus")
    assert "unsure anatomy" not in {check.name for check in both.calibration.checks}


def test_the_window_lives_while_the_models_look(both):
    both.load()
    both.detection.gate.clear()
    both.ui.calibrateButton.click()
    assert both.ui.statusLabel.text == "Recognising the anatomy..."
    both.app.wait_until(lambda: both.ui.progressBar.value == 50)
    assert both.panel.jobs.busy and not both.ui.protocolComboBox.enabled
    both.click(both.ui.cancelButton)
    both.wait()
    assert both.calibration is None and text(both) == "Automatic"


def test_a_chosen_protocol_is_the_users_for_the_next_study_and_undo_shows_the_one_before(both):
    both.load()
    both.calibrate()
    before = both.calibration
    choose(both, "BrainSagittal3D")
    assert chosen(both) == "BrainSagittal3D" and text(both) == "Brain, sagittal 3D T1"
    assert len(both.detection.calls) == 1, "the landmarks are the same"
    both.click(both.ui.undoButton)
    assert both.calibration is before
    assert text(both) == "Automatic: brain (Brain, whole, AC-PC)"
    both.click(both.ui.redoButton)
    assert chosen(both) == "BrainSagittal3D"
    both.load()
    both.calibrate()
    assert both.detection.calls[1][0] == "BrainSagittal3D"


def test_automatic_is_chosen_again_for_a_study_with_a_plan(both):
    choose(both, "BrainSagittal3D")
    both.load()
    both.calibrate()
    choose(both, "Automatic")
    assert both.calibration.protocol.name == "BrainSagittal3D"
    assert both.ui.statusLabel.text.startswith("Press Calibrate")
    both.move("AC", [0, 2, 0])
    assert chosen(both) == "Automatic", "the choice waits for Calibrate"
    both.calibrate()
    assert both.detection.calls[1][0] is None
    assert text(both) == "Automatic: brain (Brain, whole, AC-PC)"
    both.click(both.ui.undoButton)
    assert chosen(both) == "BrainSagittal3D"


def test_a_study_planned_as_another_anatomy_is_planned_again_with_a_protocol_of_the_right_one(both):
    both.load()
    both.calibrate()
    choose(both, "KneeSagittal")
    assert both.calibration.protocol.name == "BrainAcPc" and both.ui.statusLabel.text.startswith("Press Calibrate")
    both.calibrate()
    assert both.detection.calls[1][0] == "KneeSagittal"
    assert both.calibration.protocol.name == "KneeSagittal" and both.calibration.frame.side == "right"
    both.click(both.ui.undoButton)
    assert both.calibration.protocol.name == "BrainAcPc" and both.place_of("AC") is not None


def test_an_adjusted_box_stays_and_back_to_the_protocol_is_back_to_automatic(both):
    both.load()
    both.calibrate()
    both.ui.leftMargin.setValue(12)
    both.settle()
    assert both.calibration.protocol.name == "BrainAcPcAdjusted" and chosen(both) != "Automatic"
    both.click(both.ui.resetBoxButton)
    assert text(both) == "Automatic: brain (Brain, whole, AC-PC)"


def save_and_load(panel, path) -> None:
    assert panel.app.scene.WriteToMRB(str(path))
    panel.app.scene.Clear(False)
    panel.settle()
    assert panel.app.scene.ReadFromMRB(str(path), False)
    panel.settle()


def test_a_scene_keeps_what_was_recognised(both, tmp_path):
    both.detection.shown = "KneeSagittal"
    both.load()
    both.calibrate()
    save_and_load(both, tmp_path / "scene.mrb")
    assert both.calibration.model.automatic
    assert text(both) == "Automatic: right knee (Knee, sagittal)"


def test_a_scene_keeps_a_chosen_protocol(both, tmp_path):
    choose(both, "BrainHippocampus")
    both.load()
    both.calibrate()
    both.load()
    save_and_load(both, tmp_path / "scene.mrb")
    assert [study.name for study in both.current.engine.studies()] == ["Study 1", "Study 2"]
    assert chosen(both) == "BrainHippocampus", "of the study without a plan, too"
    both.ui.studySelector.setCurrentNode(both.current.engine.studies()[0].node)
    both.settle()
    assert chosen(both) == "BrainHippocampus" and not both.calibration.model.automatic


def test_another_scene_begins_with_automatic(both):
    choose(both, "BrainHippocampus")
    both.app.scene.Clear(False)
    both.settle()
    assert chosen(both) == "Automatic"


def test_by_hand_needs_a_protocol_where_several_anatomies_are_installed(both):
    both.load()
    assert not both.ui.byHandButton.enabled and "Choose a protocol first" in both.ui.byHandButton.toolTip
    choose(both, "KneeSagittal")
    both.click(both.ui.byHandButton)
    assert both.calibration.protocol.name == "KneeSagittal"


def test_by_hand_with_one_anatomy_is_that_of_its_model(panel):
    choose(panel, "Automatic")
    panel.load()
    panel.click(panel.ui.byHandButton)
    assert panel.calibration.protocol.name == "BrainAcPc"


def with_models(panel) -> None:
    """Let the installed models look, on the CPU."""
    from AutoVolumeCalibrationLib.widgets.detection_job import find_landmarks

    panel.panel.calibrate.find = find_landmarks
    panel.ui.deviceComboBox.setCurrentIndex(panel.ui.deviceComboBox.findData("cpu"))


def test_the_installed_models_recognise_the_sample_head(both):
    with_models(both)
    both.current.select(both.current.engine.add_scouts([resource_path("SampleData", "ColinScouts", "dicom")]))
    both.calibrate(timeout_s=120)
    assert text(both) == "Automatic: brain (Brain, whole, AC-PC)"
    assert both.calibration.model.name == DEFAULT_MODEL
    assert "other anatomy" not in {check.name for check in both.calibration.checks}


@pytest.mark.parametrize(
    ("installed", "said"), [("both", "neither brain nor knee recognised"), ("panel", "no brain recognised")]
)
def test_scouts_of_neither_are_refused_as_on_the_command_line(request, installed, said):
    panel = request.getfixturevalue(installed)
    with_models(panel)
    choose(panel, "Automatic")
    panel.current.select(panel.current.engine.add_stacks(blank_stacks([0.0])))
    panel.calibrate(timeout_s=120)
    assert said in panel.ui.statusLabel.text
    assert panel.calibration is None


def test_the_console_recognises_too(both):
    study = both.current.engine.add_scouts([resource_path("SampleData", "ColinScouts", "dicom")])
    both.current.engine.calibrate(study, device="cpu")
    plan = both.current.engine.calibration(study)
    assert plan.protocol.name == "BrainAcPc" and plan.model.automatic
    blank = both.current.engine.add_stacks(blank_stacks([0.0]))
    with pytest.raises(InputError, match="neither brain nor knee recognised"):
        both.current.engine.calibrate(blank, device="cpu")


def test_the_models_that_look_are_named(both):
    assert both.ui.modelComboBox.itemText(0) == f"current ({DEFAULT_MODEL}, knee-1)"
