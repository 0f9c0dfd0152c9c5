"""``search`` runs trainings on the named data, prints its table, and goes on without being told everything again."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("optuna")

from command_line import assert_refused  # noqa: E402
from LandmarkTrainingLib.core.config import TrainingConfig  # noqa: E402
from LandmarkTrainingLib.core.experiments import search_trial  # noqa: E402


@pytest.fixture
def trained(monkeypatch):
    """Instead of training: keeps data and settings, and answers with the learning rate as error."""
    calls = []

    def training(folders):
        def train(config, folder, report):
            calls.append((folders, config, folder))
            return config.learning_rate * 1000

        return train

    monkeypatch.setattr(search_trial, "trial_training", training)
    return calls


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.json"
    path.write_text(json.dumps({"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}), encoding="utf-8")
    return path


def test_a_search_trains_prints_a_table_and_names_the_best_settings(autovolume, trained, space, tmp_path):
    place = tmp_path / "search"
    ran = autovolume(
        *("search", "--output", place, "--space", space, "--trials", 3, "--labels", tmp_path, "--set", "steps=50")
    )
    assert (ran.code, ran.err) == (0, "")
    best = TrainingConfig.from_json(place / "best.json")
    assert best.steps == 50 and best.learning_rate == min(config.learning_rate for _, config, _ in trained)
    assert ran.out.count("finished") == 6 and f"Train with --config {place / 'best.json'}" in ran.out
    assert [folder for _, _, folder in trained] == [place / "trials" / f"{i:03d}" for i in range(3)]
    assert autovolume("search", "--output", place, "--trials", 4).code == 0
    assert len(trained) == 4 and trained[3][0] == trained[0][0] and trained[3][1].steps == 50


def test_other_data_or_settings_in_the_same_folder_are_refused(autovolume, trained, space, tmp_path):
    command = ("search", "--output", tmp_path / "search", "--trials", 1, "--space", space)
    assert autovolume(*command, "--labels", tmp_path).code == 0
    (tmp_path / "other").mkdir()
    assert_refused(autovolume(*command, "--labels", tmp_path / "other"), 2, "other data")
    assert_refused(autovolume(*command, "--labels", tmp_path, "--set", "steps=7"), 2, "other settings")
    assert len(trained) == 1


def test_data_and_a_space_are_needed(autovolume, trained, space, tmp_path):
    assert_refused(autovolume("search", "--output", tmp_path / "a", "--space", space), 2, "no training data")
    assert_refused(autovolume("search", "--output", tmp_path / "b", "--labels", tmp_path), 2, "no search")
    space.write_text('{"learning_rat": [1]}', encoding="utf-8")
    ran = autovolume("search", "--output", tmp_path / "c", "--labels", tmp_path, "--space", space)
    assert_refused(ran, 2, space)
