"""The model that a fine-tuning starts from where none is named: that of the anatomy, however the protocol is named."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace

import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL, read_current, shipped_models, write_current
from LandmarkTrainingLib.cli import training_commands
from LandmarkTrainingLib.core.runs.base_model import base_model, nearest_model
from LandmarkTrainingLib.core.training.training_run import named_protocol


def promoted(folder, name, anatomy, names) -> None:
    """A bundle of the user's in use for an anatomy, which says that it finds the landmarks ``names``."""
    shutil.copytree(shipped_models()[DEFAULT_MODEL], folder / name)
    path = folder / name / "configs" / "metadata.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    landmarks = [{**data["landmarks"][0], "name": name, "mirror": None} for name in names]
    path.write_text(json.dumps({**data, "anatomy": anatomy, "landmarks": landmarks}), encoding="utf-8")
    write_current(read_current().with_model(anatomy, name))


@pytest.fixture
def knee(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOVOLUME_MODELS", str(tmp_path / "models"))
    promoted(tmp_path / "models", "knee-1", "knee", load_protocol("KneeSagittal").constellation.names)
    return tmp_path / "models"


def test_a_knee_starts_from_the_knees_model_and_a_head_from_the_heads(knee):
    assert base_model(load_protocol("KneeAxial")) == "knee-1"
    assert base_model(load_protocol("BrainAcPc")) == base_model(None) == DEFAULT_MODEL
    promoted(knee, "mine-1", "brain", load_protocol("BrainAcPc").constellation.names)
    assert base_model(load_protocol("BrainAcPc")) == base_model(None) == "mine-1", "of equal ones that in use"


def test_an_anatomy_that_no_model_knows_starts_from_the_default_one(knee):
    assert nearest_model(["OF_NOTHING"]) == (DEFAULT_MODEL, 0)


@pytest.mark.parametrize("how", ["flag", "setting", "file", "nowhere"])
def test_the_command_takes_it_however_the_protocol_is_named(knee, tmp_path, monkeypatch, how):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"protocol": "KneeSagittal"}), encoding="utf-8")
    bases = []
    monkeypatch.setattr(training_commands, "require_sound_run", lambda _arguments: None)
    monkeypatch.setattr(training_commands, "_run", lambda _arguments, base: bases.append(base) or 0)
    arguments = Namespace(
        model=None,
        protocol="KneeSagittal" if how == "flag" else None,
        set=["protocol=KneeSagittal"] if how == "setting" else [],
        config=config if how == "file" else None,
    )
    training_commands.run_finetune(arguments)
    assert bases == [DEFAULT_MODEL if how == "nowhere" else "knee-1"]


def test_a_wrong_setting_is_an_error_and_no_protocol_is_none():
    assert named_protocol(None, {"steps": 3}) is None
    with pytest.raises(UsageError, match="stepz"):
        named_protocol(None, {"stepz": 3})
