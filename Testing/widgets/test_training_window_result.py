"""The result in the training window: comparison, promotion and taking back."""

from __future__ import annotations

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)


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
