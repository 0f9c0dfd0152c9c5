"""A landmark that is not learnt is named: in the log, in the line of the terminal, and in a warning with a remedy."""

import json
import logging

import numpy as np
import pytest
import torch

from LandmarkTrainingLib.core.evaluation.validation import FEWEST_SLICES, ValidationErrors
from LandmarkTrainingLib.core.runs.flat_channels import REMEDY, FlatChannels
from LandmarkTrainingLib.core.runs.run_logging import scalars
from LandmarkTrainingLib.core.runs.run_request import settings_from_text
from LandmarkTrainingLib.core.runs.run_watch import RunWatch, step_text
from LandmarkTrainingLib.core.slices.batches import TrainingData
from LandmarkTrainingLib.core.slices.targets import make_targets, target_settings
from LandmarkTrainingLib.core.training.trainer import train
from LandmarkTrainingLib.core.training.training_loss import TrainingLoss
from toy_heads import NAMES
from toy_training import SLICES, TINY, SameBatch, one_batch, toy_data


def errors_of(distances, heights):
    distances, heights = np.array(distances, dtype=float), np.array(heights, dtype=float)
    return ValidationErrors(distances, heights, np.zeros(len(distances), dtype=int))


def test_the_worst_landmark_is_named_though_mean_and_median_look_good():
    """18 points at a millimetre and one 56 mm off in every image: the median said 1.4."""
    distances = np.full((10, 19), 1.4)
    distances[:, 9] = 56.0
    heights = np.full((10, 19), 0.9)
    heights[:, 9] = 0.02
    names = [f"P{number}" for number in range(19)]
    found = errors_of(distances, heights)
    assert found.summary()["median_mm"] == pytest.approx(1.4)
    assert found.by_landmark(names) == {"worst": "P9", "worst_mm": 56.0, "flat": ["P9"]}


def test_no_landmark_is_flat_before_the_others_are_found():
    low = errors_of(np.full((5, 3), 40.0), np.full((5, 3), 0.05))
    assert low.by_landmark("abc")["flat"] == []


def test_a_landmark_in_few_slices_is_not_judged():
    distances = np.full((FEWEST_SLICES, 2), 1.0)
    distances[0, 1], distances[1:, 1] = 90.0, np.nan
    assert errors_of(distances, np.full(distances.shape, 0.9)).by_landmark("ab")["worst"] == "a"
    assert errors_of(np.full((9, 2), np.nan), np.full((9, 2), np.nan)).by_landmark("ab") == {}


class Muted(torch.nn.Module):
    """Answers with the targets of a batch, but in one channel with nothing."""

    def __init__(self, batch, config, channel):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))
        self.register_buffer("answer", make_targets(batch, target_settings(config, SLICES)).heatmaps)
        self.answer[:, channel] = 0

    def forward(self, image):
        return self.gain * self.answer


def test_a_run_with_a_dead_channel_says_so_at_once(tmp_path, caplog):
    config = TINY.replaced({"steps": 3, "checkpoint_steps": 1, "batch_size": 16, "seed": 5})
    batch = one_batch(config)
    data = toy_data(source=SameBatch(batch))
    data = TrainingData(data.names, data.mirror, data.source, batch)
    said = []
    with caplog.at_level(logging.WARNING):
        train(
            *(config, data, tmp_path),
            network=Muted(batch, config, NAMES.index("LEFT")),
            slices=SLICES,
            progress=lambda *step: said.append(step[-1]),
        )
    first, *_, line = (json.loads(text) for text in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines())
    assert first["check_flat"] == ["LEFT"]
    assert line["check_worst"] == "LEFT" and line["check_flat"] == ["LEFT"]
    assert line["check_worst_mm"] > 5 * line["check_median_mm"]
    text = step_text(said[-1], "error", "mm")
    assert f"worst LEFT {line['check_worst_mm']:.2f} mm, flat: LEFT" in text and " mean " in text
    (warning,) = (record.getMessage() for record in caplog.records)
    assert "the heatmap of LEFT stays flat" in warning and REMEDY in warning
    watch = RunWatch(tmp_path)
    assert watch.read() and watch.progress.worst == "LEFT" and watch.progress.flat == ("LEFT",)
    assert set(scalars(line)) >= {"loss", "check_worst_mm"} and "check_worst" not in scalars(line)


def test_the_remedy_is_a_setting_that_works():
    text = REMEDY[REMEDY.index("losses=") : -1]
    config = TINY.replaced(settings_from_text(text))
    (term,) = (term for term in TrainingLoss(config).terms if term.kind == "heatmap")
    assert term.loss.peak_weight == 50


def test_a_channel_that_wakes_up_is_not_warned_of(caplog):
    flat = FlatChannels()
    for step, names in enumerate((["A"], [], ["A"], [])):
        flat.report({"step": step, "check_flat": names})
    assert not caplog.records
    flat.report({"step": 5, "check_flat": ["B"]})
    flat.report({"step": 6, "check_flat": ["B"]})
    flat.report({"step": 7, "check_flat": ["B"]})
    assert len(caplog.records) == 1
