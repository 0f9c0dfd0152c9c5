"""Heatmaps start at the background's level where a network's last layer gives them; everything else stays random."""

import pytest
import torch

from LandmarkTrainingLib.core.slices.targets import target_settings
from LandmarkTrainingLib.core.training.initial_weights.quiet_start import start_quietly
from LandmarkTrainingLib.core.training.learner import Learner, fresh_network, landmark_network
from toy_heads import NAMES
from toy_training import SLICES, TINY, one_batch
from training.test_every_architecture import LEARNERS

#: Networks whose heatmaps are products, sigmoids, tangents or maps of coordinates: they start as published.
OWN_START = {"scn", "gu2net", "flat_net", "hourglass", "t2dl", "search_agent"}


PLAIN = {"losses": [{"name": "mse", "weight": 1000.0}]}


def config_of(name):
    return TINY.replaced({"architecture": name, "options": LEARNERS[name][0], **PLAIN})


@pytest.mark.parametrize("name", LEARNERS)
def test_only_the_layers_of_the_heatmaps_start_at_zero(name):
    before = landmark_network(config_of(name), len(NAMES)).state_dict()
    network = fresh_network(config_of(name), len(NAMES))
    after = network.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert all(not after[key].any() for key in changed)
    assert (not changed) == (name in OWN_START)
    assert len(changed) <= 2 * max(4, LEARNERS[name][0].get("stacks", 1))
    if changed and name != "cascade":  # only its coarse network has such a layer
        image = torch.rand(1, 4, 64, 64)
        assert not network.eval()(image).any()
    assert network.train().training


def test_a_loss_that_weights_the_peaks_starts_at_random():
    before, after = (start(TINY, len(NAMES)).state_dict() for start in (landmark_network, fresh_network))
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_deeply_supervised_heads_all_start_at_zero():
    config = TINY.replaced({"architecture": "unet_plus_plus", "options": {"features": [8] * 6, "stem": 2}, **PLAIN})
    network = fresh_network(config.replaced({"options": {**config.options, "deep_supervision": True}}), len(NAMES))
    outputs = network.train()(torch.rand(2, 4, 64, 64))
    assert isinstance(outputs, list) and len(outputs) == 4
    assert all(not output.any() for output in outputs)


def test_a_norm_of_each_plane_never_meets_a_single_pixel():
    """Two random slices could be of two planes, each alone with the batch norm of its own."""
    options = {"features": [4] * 5, "width": 4, "stem": 4}  # the coarsest map of 64 pixels is one
    for seed in range(6):
        fresh_network(config_of("gu2net").replaced({"options": options, "seed": seed}), len(NAMES))


def test_it_draws_no_random_number_and_leaves_the_running_statistics():
    network = landmark_network(TINY, len(NAMES))
    statistics = {name: value.clone() for name, value in network.named_buffers()}
    state = torch.get_rng_state()
    assert start_quietly(network, 4, 64)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, statistics[name]) for name, value in network.named_buffers())


def test_the_first_step_does_not_press_the_heatmaps_down():
    """The random start costs hundreds of times the loss of answering nothing."""
    config, targets = TINY.replaced(PLAIN), target_settings(TINY, SLICES)
    losses = []
    for start in (landmark_network, fresh_network):
        learner = Learner(start(config, len(NAMES), targets), config, targets, torch.device("cpu"))
        losses.append(float(learner.loss_of(one_batch(config), 0)))
    assert losses[1] < 0.05 * losses[0]
