"""The recipe of the training window: what it starts from, settings, own losses."""

from __future__ import annotations

from pathlib import Path

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)


def test_the_first_recipe_fine_tunes_the_current_model(window):
    window.add_dataset()
    window.set_validation()
    window.train()
    arguments = window.engine.commands[-1]
    assert arguments[0] == "finetune"
    assert arguments[arguments.index("--dataset") + 1] == str(window.folder / "cases")
    assert arguments[arguments.index("--validation") + 1] == str(window.folder / "validation")
    assert "--model" not in arguments
    assert window.last_settings() == {"device": "auto", "seed": 0}


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
    window.choose(ui.deviceComboBox, "cpu")
    window.train()
    arguments = window.engine.commands[-1]
    assert arguments[arguments.index("--model") + 1] == str(window.folder / "mine")
    assert Path(arguments[arguments.index("--output") + 1]).parent == window.folder / "runs"
    settings = {"device": "cpu", "seed": 3, "steps": 7, "learning_rate": 0.001, "batch_size": 4, "schedule": "constant"}
    assert window.last_settings() == settings | {"folds": 5}


def test_a_recipe_for_label_maps_needs_label_maps_and_no_studies(window):
    window.choose(window.ui.recipeComboBox, "labels")
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
    window.choose(window.ui.recipeComboBox, "anatomy")
    assert "Name the protocol of the anatomy" in window.next
    window.ui.extraText.plainText = "protocol=paw/PawBox.json"
    window.settle()
    window.train()
    assert window.engine.commands[-1][0] == "finetune"
    assert window.last_settings()["protocol"] == "paw/PawBox.json"


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
    window.check()
    assert window.engine.checked[0][1] == "Knee"
