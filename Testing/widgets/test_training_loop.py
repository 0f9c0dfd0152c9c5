"""The whole loop with the real engine: check, fine-tune, compare, use the new model, and back."""

from __future__ import annotations

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)

#: One step on one slice: what is tested is the way, not the model.
SETTINGS = "checkpoint_steps=1\npicture_steps=0\nbatch_size=1\nworkers=0"


@pytest.fixture
def real_window(stand_in, tmp_path, monkeypatch):
    """The window with the engine that people get."""
    from LandmarkTrainingLib.widgets.core_engine import CoreEngine
    from training_window import TrainingWindow

    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    return TrainingWindow(stand_in, tmp_path, CoreEngine())


def test_cases_become_a_model_that_is_compared_and_used_where_the_user_decides(real_window, tmp_path, caplog):
    import qt

    from AutoVolumeCalibrationLib.core.models.store import default_model_name
    from data_sets import brain_study, write_set

    window, ui = real_window, real_window.ui
    (tmp_path / "cases").mkdir()
    write_set(tmp_path / "cases", [brain_study("one", 1, subject="a"), brain_study("two", 2, subject="a")])
    write_set(tmp_path / "validation", [brain_study("three", 3)])
    window.add_dataset("cases")
    window.set_validation()
    assert [ui.datasetsTable.item(0, column).text() for column in range(3)] == ["cases", "2", "1"]
    window.click(ui.checkButton)
    window.wait(lambda: not window.panel.data.checking)
    assert list(window.panel.data.found) == [str(tmp_path / "cases")]
    ui.stepsSpinBox.setValue(1)
    ui.extraText.plainText = SETTINGS
    ui.deviceComboBox.setCurrentIndex(ui.deviceComboBox.findData("cpu"))
    window.start()
    window.wait(lambda: not window.run.running, timeout_s=300)
    assert ui.runLabel.text.startswith("Finished: step 1 of 1, median error"), ui.runLabel.text
    window.click(ui.compareButton)
    window.wait(lambda: not window.panel.comparing.running, timeout_s=300)
    assert ui.resultTable.item(0, 0).text() == "Rotation of the box, deg"
    # One person, whose study shows no real head.
    assert ui.verdictLabel.text.startswith("Not enough people to say: ")
    assert "1 study of 1 person in all" in ui.verdictLabel.text
    window.app.dialogs.answer("QMessageBox", qt.QMessageBox.Ok)
    window.click(ui.promoteButton)
    window.wait(lambda: window.panel.result.used)
    assert default_model_name() != "brain-scout"
    window.click(ui.rollBackButton)
    assert default_model_name() == "brain-scout"
    assert caplog.text == ""


def test_a_folder_that_is_no_data_set_is_explained_by_the_engine(real_window, tmp_path):
    real_window.add_dataset("empty")
    assert "holds no studies" in real_window.next
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "dataset.json").write_text("{", encoding="utf-8")
    real_window.add_dataset("damaged")
    real_window.ui.datasetsTable.selectRow(0)
    real_window.settle()
    real_window.click(real_window.ui.removeDatasetButton)
    assert "dataset.json: is not valid JSON" in real_window.next


def test_a_comparison_is_shown_with_its_intervals(stand_in):
    from LandmarkTrainingLib.widgets.core_engine import comparison_of

    def model(median, low, verdict):
        measures = {"in_plane_mm": {"median": median, "low": low, "high": 3.0}, "iou": {"median": None}}
        return {"measures": measures, "cases": 7, "failures": 1, "failed_plans": 2, "verdict": verdict}

    verdict = {"better": True, "outcome": "better", "reasons": ["Better.", "Lower.", "No more failures."]}
    shown = comparison_of({"models": [model(2.5, 2.0, None), model(1.5, None, verdict)]})
    rows = {name: cells for name, *cells in shown.rows}
    assert rows["In-plane error, mm"] == ["2.50 (2.00 - 3.00)", "1.50"]
    assert rows["3D error, mm"] == rows["Overlap of the boxes"] == ["-", "-"]
    assert rows["Cases"] == ["7", "7"] and rows["Failed plans"] == ["2", "2"]
    assert shown.better
    assert (shown.verdict, shown.evidence) == ("Better.", ("Lower.", "No more failures."))
    for outcome, may in (("as good", True), ("undecided", True), ("not enough people", True), ("worse", False)):
        other = {"better": False, "outcome": outcome, "reasons": ["No."]}
        assert comparison_of({"models": [model(2.5, 2.0, None), model(1.5, None, other)]}).may_override is may
    earlier = comparison_of({"models": [model(2.5, 2.0, None), model(1.5, None, {"better": True, "reasons": []})]})
    assert not earlier.better and not earlier.may_override and "again" in earlier.verdict


def test_the_short_names_are_those_of_all_measures(stand_in):
    from LandmarkTrainingLib.core.evaluation.case_measures import MEASURES
    from LandmarkTrainingLib.widgets.core_engine import _TITLES

    assert sorted(_TITLES) == sorted(MEASURES)
