"""The learning rate range test on a run's own network, data, losses and optimiser."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.files.output_folder import require_place

from ..config import TrainingConfig
from ..simulator.slice_planes import SliceSettings
from ..slices.batches import Batches, TrainingData
from ..slices.targets import slice_settings, target_settings
from .learning_rate_finder import RangeTest, find_learning_rate, range_picture
from .search_agent.learner import SearchLearner, new_learner
from .starting_point import starting_network
from .trainer import choose_training_device

PICTURE_FILE, JSON_FILE = "range.png", "range.json"


def try_rates(
    config: TrainingConfig,
    data: TrainingData,
    *,
    lowest: float,
    highest: float,
    steps: int,
    slices: SliceSettings | None = None,
) -> RangeTest:
    """The range test of a run with these settings; every batch is a step, regardless of ``accumulation``.

    Args:
        slices: grid of the slices, the simulator's own when None.

    Raises:
        ModelError: the starting model does not exist, or is damaged.
        UsageError: a setting does not fit, the loss falls at no rate, or the network consists of search agents.
    """
    torch.set_num_threads(config.threads)
    device = choose_training_device(config.device)
    targets = target_settings(config, slices or slice_settings(config))
    network, _ = starting_network(config, data.names, targets)
    learner, batches = new_learner(network, config, targets, device), Batches(data.source, config)
    if isinstance(learner, SearchLearner):  # their loss is of what they expect, and grows as they find more
        raise UsageError("the loss of search agents does not show a good rate", remedy="Set learning_rate yourself.")
    return find_learning_rate(
        learner.network,
        learner.optimizer,
        lambda number: learner.loss_of(batches[number], number),
        lowest=lowest,
        highest=highest,
        steps=steps,
        gradient_clip=config.gradient_clip,
    )


def write_range(folder: Path, test: RangeTest, config: TrainingConfig) -> Sequence[Path]:
    """Write curve and numbers to ``folder``; returns the files. UsageError if they cannot be written."""
    require_place(folder, overwrite=True)
    settings = json.loads(json.dumps(dataclasses.asdict(config)))
    numbers = {"suggestion": test.suggestion, "rates": list(test.rates), "losses": list(test.losses)}
    write_text(folder / JSON_FILE, json_text({**numbers, "settings": settings}))
    range_picture(test, folder / PICTURE_FILE)
    return folder / PICTURE_FILE, folder / JSON_FILE
