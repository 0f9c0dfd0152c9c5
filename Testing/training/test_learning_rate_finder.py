"""The range test on problems whose best rate is known."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image

from AutoVolumeCalibrationLib.core.errors import UsageError
from LandmarkTrainingLib.core.training.learning_rate_finder import (
    RangeTest,
    find_learning_rate,
    range_picture,
    steepest_descent,
)


def problem(curvature=1.0, optimizer=torch.optim.SGD):
    """A bowl: gradient descent converges below a rate of 2 / curvature and diverges above it."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(8, 8, bias=False), torch.nn.BatchNorm1d(8, affine=False))
    torch.nn.init.constant_(network[0].weight, 3.0)
    following = {0}

    def loss(number):
        assert number in following  # batches come in their order, and once more from the first
        following.clear()
        following.update({0, number + 1})
        network[1](torch.randn(4, 8))
        return 0.5 * curvature * network[0].weight.square().mean() * 64

    return network, optimizer(network.parameters(), lr=0.123), loss


@pytest.mark.parametrize("curvature", [0.1, 1.0, 10.0])
def test_the_suggestion_learns_and_is_no_order_of_magnitude_too_small(curvature):
    test = find_learning_rate(*problem(curvature), lowest=1e-5, highest=1e3, steps=120)
    assert 0.02 / curvature < test.suggestion < 2 / curvature


def test_the_test_ends_where_the_loss_diverges_and_the_rates_grow_by_a_constant_factor():
    test = find_learning_rate(*problem(), lowest=1e-4, highest=1e4, steps=100)
    assert 10 < len(test.rates) == len(test.losses) < 90
    assert np.ptp(np.diff(np.log(test.rates))) < 1e-9 and test.rates[0] == pytest.approx(1e-4)
    assert np.isfinite(test.losses).all() and max(test.losses) <= 4 * min(test.losses) * 10


def test_the_first_losses_are_not_smoothed_towards_zero():
    test = find_learning_rate(*problem(), lowest=1e-6, highest=10.0, steps=100)
    assert test.losses[0] == pytest.approx(0.5 * 9 * 64, rel=1e-3)
    assert test.losses[5] == pytest.approx(test.losses[0], rel=1e-2)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_afterwards_everything_is_as_before(optimizer):
    network, used, loss = problem(optimizer=optimizer)
    network.eval()
    before = copy.deepcopy((network.state_dict(), used.state_dict()))
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    find_learning_rate(network, used, loss, highest=1e4, steps=60)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, before[0][key]) for key, value in network.state_dict().items())
    assert used.state_dict() == before[1] and used.param_groups[0]["lr"] == 0.123
    assert not network.training and all(p.grad is None for p in network.parameters())


def test_everything_is_as_before_where_a_batch_fails_too():
    network, used, _ = problem()
    weights = network[0].weight.detach().clone()

    def failing(number):
        if number == 5:
            raise RuntimeError("no more batches")
        return network[0].weight.square().sum()

    with pytest.raises(RuntimeError, match="no more batches"):
        find_learning_rate(network, used, failing)
    assert torch.equal(network[0].weight, weights) and used.param_groups[0]["lr"] == 0.123


def test_a_loss_that_becomes_nan_ends_the_test_before_it():
    network, used, loss = problem()
    test = find_learning_rate(network, used, lambda n: loss(n) if n < 60 else loss(n) * torch.nan, highest=1.0)
    assert len(test.losses) == 60 and np.isfinite(test.losses).all()


def test_clipping_lets_higher_rates_be_tried():
    free = find_learning_rate(*problem(), lowest=1e-4, highest=1e3)
    clipped = find_learning_rate(*problem(), lowest=1e-4, highest=1e3, gradient_clip=0.1)
    assert len(clipped.rates) > len(free.rates)


def test_easy_and_hard_batches_do_not_hide_the_descent():
    """Slices with few and with many landmarks: at the start their losses differ far more than a step changes them."""
    network, optimizer, loss = problem()
    uneven = find_learning_rate(
        network, optimizer, lambda n: loss(n) * (1.0 + 0.9 * np.sin(1.7 * n)), lowest=1e-5, highest=1e3, steps=120
    )
    assert 0.02 < uneven.suggestion < 2
    before = np.array(uneven.rates) < 1e-4
    assert np.ptp(np.array(uneven.losses)[before]) < 0.02 * uneven.losses[0]


def test_the_steepest_place_is_before_the_minimum():
    rates = np.geomspace(1e-4, 1e0, 9).tolist()
    assert steepest_descent(rates, [9, 9, 8.5, 6, 3.5, 3, 4, 2.9, 30]) == pytest.approx(rates[3])


def test_what_differs_from_batch_to_batch_is_no_descent():
    """The first losses are hardly smoothed yet: one lucky batch there falls more steeply than learning does."""
    rates = np.geomspace(1e-6, 1, 100)
    falling = 12 - 10 / (1 + np.exp(-2 * (np.log10(rates) + 3)))
    lucky = falling + np.where(np.arange(100) == 0, 0.5, 0.0) + 0.05 * (-1.0) ** np.arange(100)
    found, undisturbed = (steepest_descent(rates.tolist(), losses.tolist()) for losses in (lucky, falling))
    assert 1e-3 < undisturbed < 4e-3 and undisturbed / 2 < found < undisturbed * 2


@pytest.mark.parametrize("pressed", [1.0, 10.0, 100.0])
def test_what_the_loss_loses_before_anything_is_learnt_does_not_decide(pressed):
    """Heatmaps that start at random: from the loss of noise to that of an empty answer, then on to the landmarks'."""
    rates = np.geomspace(1e-6, 1, 120)
    noise, landmarks = (1 / (1 + (rates / middle) ** 2) for middle in (1e-5, 1e-2))
    losses = (0.01 + 0.2 * landmarks) * (1 + pressed / (1 + pressed) * noise)
    assert steepest_descent(rates.tolist(), losses.tolist()) == pytest.approx(3e-2, rel=0.5)


@pytest.mark.parametrize("below", [30.0, 1e4])
def test_a_loss_that_is_not_positive_is_refused_and_with_a_constant_it_is_not(below):
    """It becomes negative on the way, or is so from the start."""
    network, optimizer, loss = problem()
    tried = {"lowest": 1e-4, "highest": 10.0, "steps": 60}
    with pytest.raises(UsageError, match="not positive at all learning rates. Add a constant to your loss"):
        find_learning_rate(network, optimizer, lambda n: loss(n) - below, **tried)
    assert find_learning_rate(network, optimizer, lambda n: loss(n) - below + (below + 1), **tried).suggestion > 1e-4


@pytest.mark.parametrize("losses", [[1, 2, 3, 4], [], [float(n) for n in range(1, 20)]])
def test_a_loss_that_never_falls_is_said(losses):
    with pytest.raises(UsageError, match="falls at no learning rate. Start from a lower rate"):
        steepest_descent(np.geomspace(1e-3, 1, max(len(losses), 1)).tolist(), losses)


@pytest.mark.parametrize("wrong", [{"steps": 3}, {"lowest": 0.0}, {"lowest": 1.0, "highest": 0.1}])
def test_a_range_that_is_none_is_refused_before_anything_is_trained(wrong):
    with pytest.raises(UsageError, match="no range test of"):
        find_learning_rate(*problem(), **wrong)


def test_the_curve_is_drawn_with_the_suggestion(tmp_path):
    rates = np.geomspace(1e-5, 1, 50)
    losses = 2 - np.exp(-((np.log10(rates) + 2) ** 2))
    pictures = []
    for suggestion in (1e-3, 1e-2):
        range_picture(RangeTest(tuple(rates), tuple(losses), suggestion), tmp_path / "range.png")
        with Image.open(tmp_path / "range.png") as image:
            assert image.format == "PNG" and image.size == (800, 450)
            pictures.append(np.asarray(image.convert("RGB")))
    assert (pictures[0] != pictures[1]).any()
    with pytest.raises(UsageError, match="absent"):
        range_picture(RangeTest(tuple(rates), tuple(losses), 1e-3), tmp_path / "absent" / "range.png")
