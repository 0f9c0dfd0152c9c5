"""``--loss-file``: a run with a loss of one's own, resumed with it, and refused without it."""

from __future__ import annotations

import json

import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.storage.dataset import write_dataset
from command_line import assert_refused
from labelled_studies import spot_study
from LandmarkTrainingLib.core.training.losses import LOSSES

LOSS = """
def squared(prediction, target, weight, power=2.0):
    return 1000 * ((prediction - target).abs() ** power).mean()
"""
SMALL = {
    "architecture": "unet",
    "options": {"features": [4] * 6, "stem": 4},
    "checkpoint_steps": 2,
    "batch_size": 2,
    "workers": 0,
    "bf16": False,
    "device": "cpu",
}


def settings(**values):
    return [part for key, value in values.items() for part in ("--set", f"{key}={json.dumps(value)}")]


@pytest.fixture
def dataset(tmp_path):
    constellation = load_protocol("BrainAcPc").constellation
    places = {mark.name: mark.reference_mm for mark in constellation.landmarks}
    write_dataset(tmp_path / "set", [spot_study("case", places=places)], constellation)
    return tmp_path / "set"


@pytest.fixture
def loss_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(LOSS, encoding="utf-8")
    before = dict(LOSSES)
    yield f"{path}:squared"
    LOSSES.clear()
    LOSSES.update(before)


def test_a_run_learns_from_ones_own_loss_and_names_it_without_its_folder(autovolume, dataset, loss_file, tmp_path):
    run = tmp_path / "run"
    given = ("train", "--output", run, "--dataset", dataset, *settings(**{**SMALL, "steps": 2}))
    ran = autovolume(*given, "--loss-file", loss_file)
    assert ran.code == 0, ran.err
    kept = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert kept["losses"] == [{"name": "mine.py:squared"}]
    assert str(tmp_path) not in (run / "bundle" / "configs" / "train.json").read_text(encoding="utf-8")
    LOSSES.pop("mine.py:squared")  # another process does not know it
    resumed = ("train", "--output", run, "--resume", *settings(steps=4))
    remedy = "Give its file, which is code and is executed, with --loss-file FILE.py:FUNCTION."
    assert_refused(autovolume(*resumed), 2, f"mine.py:squared is a loss of your own. {remedy}")
    assert autovolume(*resumed, "--loss-file", loss_file).code == 0
    assert len((run / "log.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_settings_say_how_ones_own_loss_is_used(autovolume, dataset, loss_file, tmp_path):
    terms = [{"name": "mine.py:squared", "weight": 0.5, "power": 1.0}, {"name": "mse", "weight": 2.0}]
    given = ("train", "--output", tmp_path / "run", "--dataset", dataset)
    chosen = settings(**{**SMALL, "steps": 1, "checkpoint_steps": 1, "losses": terms})
    ran = autovolume(*given, *chosen, "--loss-file", loss_file)
    assert ran.code == 0, ran.err
    assert json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["losses"] == terms


def test_a_loss_that_does_not_exist_is_refused_before_the_data_are_read(autovolume, tmp_path):
    given = ("train", "--output", tmp_path / "run", "--labels", tmp_path)
    assert_refused(autovolume(*given, "--loss-file", "absent.py:mine"), 2, "absent.py: the file does not exist")
