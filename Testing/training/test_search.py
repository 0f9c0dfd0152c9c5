"""A search tries settings, prunes the hopeless, and goes on after a kill as if nothing had happened."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from statistics import median

import pytest

pytest.importorskip("optuna")

from AutoVolumeCalibrationLib.core.errors import Cancelled, ModelError, UsageError
from LandmarkTrainingLib.core.config import TrainingConfig  # noqa: E402
from LandmarkTrainingLib.core.experiments.search import (
    FAILED,
    FINISHED,
    PRUNED,
    SearchPlan,
    best_trial,
    search,
    trials_table,
)
from LandmarkTrainingLib.core.experiments.search_space import configured, read_space, space_from_dict

SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
    "batch_size": {"low": 2, "high": 16},
    "options.dropout": [0.0, 0.5],
    "together": [
        {"architecture": "unet", "options": {"features": [8] * 6}},
        {"architecture": "scn", "options": {"width": 8}},
    ],
}
BASE = TrainingConfig(steps=100, seed=3)
PLAN = SearchPlan(SPACE, BASE)


def error_of(config: TrainingConfig) -> float:
    """A smooth error with its minimum at a learning rate of 1e-3 and batches of 8."""
    return 1 + abs(math.log10(config.learning_rate) + 3) + abs(config.batch_size - 8) / 8


class FakeTraining:
    """Answers with ``error_of``; keeps what it was asked, and stops as if killed in its ``killed_at``-th call."""

    def __init__(self, killed_at=None):
        self.calls, self.killed_at = [], killed_at

    def __call__(self, config, folder, report):
        self.calls.append((folder.name, config, folder.exists()))
        folder.mkdir(parents=True, exist_ok=True)
        for step in (10, 50, 100):
            if report(step, error_of(config) + 10 / step):
                raise Cancelled
            if len(self.calls) == self.killed_at:
                raise KeyboardInterrupt
        return error_of(config)


def test_every_trial_is_a_training_with_settings_of_the_space_in_a_folder_of_its_own(tmp_path):
    train = FakeTraining()
    records = search(tmp_path / "new" / "search", train, 6, PLAN)
    assert [record.name for record in records] == [name for name, _, _ in train.calls] == [f"{i:03d}" for i in range(6)]
    for record, (_, config, _) in zip(records, train.calls, strict=True):
        assert 1e-5 <= config.learning_rate <= 1e-1 and 2 <= config.batch_size <= 16
        assert type(config.batch_size) is int and config.seed == 3
        assert config.options["dropout"] in (0.0, 0.5)
        assert ("features" in config.options) == (config.architecture == "unet")
        assert config == configured(BASE, record.values)
        assert record.error_mm == pytest.approx(error_of(config))
    assert {config.architecture for _, config, _ in train.calls} == {"unet", "scn"}


def test_the_best_settings_and_a_table_are_left_for_people_and_programs(tmp_path):
    records = search(tmp_path, FakeTraining(), 6, PLAN)
    best = best_trial(records)
    assert best.error_mm == min(record.error_mm for record in records if record.state == FINISHED)
    assert TrainingConfig.from_json(tmp_path / "best.json") == configured(BASE, best.values)
    table = (tmp_path / "trials.md").read_text(encoding="utf-8").splitlines()
    assert len(table) == 2 + 6 and table[2].startswith(f"| {best.name} ") and "learning_rate" in table[0]
    assert search(tmp_path, FakeTraining(), 0) == records


def test_a_search_learns_from_its_trials(tmp_path):
    """The first ten are random; most of the later ones are nearer to the minimum at 1 mm than most of these."""
    plan = SearchPlan({"learning_rate": SPACE["learning_rate"]}, BASE, seed=1)
    records = search(tmp_path, lambda config, folder, report: error_of(config), 25, plan)
    excess = [record.error_mm - 1 for record in records]
    assert median(excess[10:]) < 0.6 * median(excess[:10])


def test_a_killed_search_goes_on_in_the_folder_of_its_open_trial_and_comes_to_the_same_end(tmp_path):
    whole = search(tmp_path / "whole", FakeTraining(), 8, PLAN)
    first = FakeTraining(killed_at=4)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "killed", first, 8, PLAN)
    second = FakeTraining()
    records = search(tmp_path / "killed", second, 8)
    name, config, was_there = second.calls[0]
    assert (name, config, was_there) == ("003", first.calls[-1][1], True)
    assert len(second.calls) == 5 and records[:4] == whole[:4]
    assert [record.name for record in records] == [f"{i:03d}" for i in range(8)]
    assert len({record.values["learning_rate"] for record in records}) == 8


def test_a_search_whose_process_was_killed_lets_go_of_its_folder(tmp_path):
    """SIGKILL: nothing can be tidied up."""
    script = f"""
import os, signal, sys
from pathlib import Path
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.experiments.search import SearchPlan, search
calls = []
def train(config, folder, report):
    calls.append(folder)
    report(50, 2.0)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1.0
plan = SearchPlan({{"learning_rate": [0.1, 0.01, 0.001]}}, TrainingConfig(steps=100))
search(Path({str(tmp_path)!r}), train, 5, plan)
"""
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, timeout=60, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert [record.name for record in search(tmp_path, FakeTraining(), 0)] == ["000"]
    records = search(tmp_path, lambda config, folder, report: 0.5, 3)
    assert [(record.name, record.error_mm) for record in records] == [("000", 1.0), ("001", 0.5), ("002", 0.5)]


def test_a_stop_by_the_user_leaves_the_trial_open(tmp_path):
    def stopped(config, folder, report):
        raise Cancelled("stopped at step 3")

    with pytest.raises(Cancelled):
        search(tmp_path, stopped, 2, PLAN)
    assert search(tmp_path, FakeTraining(), 0) == []
    assert len(search(tmp_path, FakeTraining(), 2)) == 2


def test_a_finished_search_trains_nothing_more_and_a_larger_one_goes_on(tmp_path):
    search(tmp_path, FakeTraining(), 2, PLAN)
    train = FakeTraining()
    search(tmp_path, train, 2, PLAN)
    assert train.calls == []
    assert len(search(tmp_path, train, 3, PLAN)) == 3 and len(train.calls) == 1


def test_hopeless_trials_are_pruned_after_a_quarter_of_their_steps(tmp_path):
    """Trials get worse and worse: the first five run to their end, the others stop at half their steps."""
    steps_of = {}

    def train(config, folder, report):
        for step in (20, 50, 100):
            steps_of.setdefault(folder.name, []).append(step)
            if report(step, float(folder.name) + 1):
                return float(folder.name) + 1
        return float(folder.name) + 1

    records = search(tmp_path, train, 8, PLAN)
    assert [record.state for record in records] == [FINISHED] * 5 + [PRUNED] * 3
    assert steps_of["004"] == [20, 50, 100] and steps_of["005"] == steps_of["007"] == [20, 50]
    assert records[6].error_mm == 7.0 and best_trial(records).name == "000"


def test_settings_that_do_not_fit_together_fail_their_trial_and_not_the_search(tmp_path):
    def train(config, folder, report):
        if config.architecture == "scn":
            raise ModelError("width is not valid", remedy="Repair it.")
        return math.nan if config.batch_size > 12 else 1.0

    told = []
    records = search(tmp_path, train, 10, PLAN, progress=told.append)
    assert told == records and len(records) == 10
    for record in records:
        failed = record.values["together"]["architecture"] == "scn"
        assert record.state == (FAILED if failed or record.values["batch_size"] > 12 else FINISHED)
        assert ("width is not valid" in record.message) == failed
    assert "width is not valid" in trials_table(records)


def test_a_fault_of_the_program_is_not_hidden(tmp_path):
    def broken(config, folder, report):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(tmp_path, broken, 2, PLAN)


def test_another_plan_in_the_same_folder_is_refused(tmp_path):
    search(tmp_path, FakeTraining(), 1, PLAN)
    others = [
        replace(PLAN, seed=1),
        replace(PLAN, base=replace(BASE, steps=5)),
        replace(PLAN, space={"batch_size": [2, 4]}),
    ]
    for other in others:
        with pytest.raises(UsageError, match=r"search\.json: was begun with another space"):
            search(tmp_path, FakeTraining(), 2, other)


def test_a_folder_without_a_search_cannot_be_gone_on_with(tmp_path):
    with pytest.raises(UsageError, match="holds no search to resume"):
        search(tmp_path, FakeTraining(), 2)


def test_two_searches_in_one_folder_at_once_are_refused(tmp_path):
    def search_again(config, folder, report):
        with pytest.raises(UsageError, match="another process is at work"):
            search(tmp_path, FakeTraining(), 1)
        return 1.0

    assert len(search(tmp_path, search_again, 1, PLAN)) == 1


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({}, "names no setting"),
        ([], "names no setting"),
        ({"learning_rat": [1.0]}, "unknown setting learning_rat"),
        ({"batch_size": []}, "batch_size has no values"),
        ({"batch_size": 4}, "batch_size has no values"),
        ({"batch_size": ["many"]}, "'many' should be a int"),
        ({"batch_size": {"low": 1.5, "high": 4}}, "should be a int"),
        ({"learning_rate": {"low": 1e-3}}, "needs numbers"),
        ({"learning_rate": {"low": "a", "high": 1}}, "needs numbers"),
        ({"learning_rate": {"low": True, "high": 3}}, "needs numbers"),
        ({"learning_rate": {"low": 1, "high": 1e-3}}, "low 1 above"),
        ({"learning_rate": {"low": 0, "high": 1, "log": True}}, "logarithmic"),
        ({"learning_rate": {"low": 0.1, "high": 1, "log": "yes"}}, "true or false"),
        ({"learning_rate": {"low": 0.1, "high": 1, "log": True, "step": 0.1}}, "logarithmic"),
        ({"learning_rate": {"low": 0.1, "high": 1, "step": -1}}, "step"),
        ({"learning_rate": {"low": 0.1, "high": 1, "base": 2}}, "unknown key base"),
        ({"architecture": {"low": 0, "high": 1}}, "should be a str"),
        ({"batch_size.x": [1]}, "batch_size is not a setting with keys"),
        ({"together": [3]}, "which is not an object"),
        ({"together": [{"widht": 3}]}, "unknown setting widht"),
        ({"fold": [0, 1]}, "fold determines the validation data"),
        ({"together": [{"check_heads": [3]}]}, "check_heads determines"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused_before_anything_runs(tmp_path, space, said):
    path = tmp_path / "space.json"
    path.write_text(json.dumps(space), encoding="utf-8")
    with pytest.raises(UsageError, match=said) as caught:
        read_space(path, BASE)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", '{"learning_rate": {"low": NaN, "high": 1}}'])
def test_a_space_that_is_no_json_is_refused(tmp_path, text):
    (tmp_path / "space.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"space\.json"):
        read_space(tmp_path / "space.json", BASE)


def test_whole_settings_get_whole_numbers_and_others_do_not():
    space = space_from_dict(
        {
            "batch_size": {"low": 1, "high": 3},
            "learning_rate": {"low": 1, "high": 3},
            "options.width": {"low": 8, "high": 16, "step": 8},
            "options.dropout": {"low": 0.0, "high": 1},
        },
        BASE,
        "space",
    )
    assert [part.whole for part in space.parts.values()] == [True, False, True, False]
