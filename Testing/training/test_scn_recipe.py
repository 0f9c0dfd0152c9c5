"""The SpatialConfiguration-Net learns with its authors' optimiser, at their rates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from LandmarkTrainingLib.core.evaluation.validation import validation_errors
from LandmarkTrainingLib.core.slices.targets import target_settings
from LandmarkTrainingLib.core.training.learner import Learner, fresh_network
from LandmarkTrainingLib.core.xray.xray_published import BENCHMARKS, settings_of
from LandmarkTrainingLib.core.xray.xray_source import grid, random_xrays
from toy_radiographs import NAMES, toy_radiographs

#: Pixels; the benchmark's images have 512.
SIDE = 64


@pytest.mark.slow
def test_the_published_steps_find_the_points_of_made_up_radiographs():
    """One image a step, as published; fewer pixels and filters, at the published step for each pixel."""
    published = settings_of("scn", BENCHMARKS["cephalometric"])
    config = published.replaced(
        {
            "options": {**published.options, "width": 32},
            "losses": [{**term, "weight": term["weight"] * (SIDE / 512) ** 2} for term in published.losses],
            "sigma_mm": 2.5,  # pixels of radiographs are 1 mm
            "batch_size": 1,
            "device": "cpu",
        }
    )
    targets, device = target_settings(config, grid(SIDE)), torch.device("cpu")
    learnt, measured = random_xrays(toy_radiographs(88, SIDE, 1), {}), toy_radiographs(20, SIDE, 2).slices
    torch.manual_seed(0)
    learner = Learner(fresh_network(config, len(NAMES), targets), config, targets, device)
    for step in range(600):
        learner.learn(learnt.batch(1, (0, step)), step)
    errors = validation_errors(learner.network, measured, targets, device)
    assert np.nanmedian(errors.distances_mm) < 2.5
    assert np.nanmean(errors.heights) > 0.3
