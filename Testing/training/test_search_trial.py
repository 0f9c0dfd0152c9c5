"""A trial of a search is a training like any other: watched, stopped where it is hopeless, taken up again."""

from __future__ import annotations

import json

import pytest

from AutoVolumeCalibrationLib.core.errors import Cancelled, UsageError
from data_sets import brain_study, write_set
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.experiments.search_trial import base_configuration, kept_folders, trial_training
from LandmarkTrainingLib.core.training.training_data import DataFolders

TINY = TrainingConfig(
    options={"features": [8] * 6, "stem": 4, "dropout": 0.0},
    steps=4,
    checkpoint_steps=1,
    batch_size=1,
    warmup_steps=1,
    bf16=False,
    workers=0,
    device="cpu",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return DataFolders(datasets=(write_set(tmp_path_factory.mktemp("set"), [brain_study("one", 1)]),))


def steps_logged(run):
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_hopeless_trial_stops_and_goes_on_to_its_lowest_error_when_taken_up(folders, tmp_path):
    train, told = trial_training(folders), []

    def hopeless(step, error_mm):
        told.append((step, error_mm))
        return step == 2

    with pytest.raises(Cancelled):
        train(TINY, tmp_path / "run", hopeless)
    # Asked to stop at its second checkpoint, it ends with the step after.
    assert steps_logged(tmp_path / "run") == [1, 2, 3] and not (tmp_path / "run" / "bundle").exists()
    best = train(TINY, tmp_path / "run", lambda step, error_mm: told.append((step, error_mm)))
    assert [step for step, _ in told] == [1, 2, 3, 4]
    assert best == pytest.approx(min(error for _, error in told), abs=1e-3)


def test_the_data_are_kept_with_the_search(folders, tmp_path):
    given = kept_folders(tmp_path, folders)
    assert kept_folders(tmp_path, DataFolders()) == kept_folders(tmp_path, folders) == given
    with pytest.raises(UsageError, match="other data"):
        kept_folders(tmp_path, DataFolders(labels=tmp_path))
    with pytest.raises(UsageError, match="no training data"):
        kept_folders(tmp_path / "new", DataFolders())


def test_what_all_trials_share_comes_from_a_model_a_file_and_single_settings(tmp_path):
    (tmp_path / "config.json").write_text('{"steps": 7, "batch_size": 3}', encoding="utf-8")
    config = base_configuration("brain-scout", tmp_path / "config.json", ["steps=9", "architecture=unet"])
    assert (config.base, config.steps, config.batch_size, config.architecture) == ("brain-scout", 9, 3, "unet")
    assert base_configuration(None, None, []) == TrainingConfig()
