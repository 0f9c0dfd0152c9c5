"""The learning rate range test (Smith 2017, arXiv:1506.01186): the loss while the rate grows from step to step.

MONAI's ``LearningRateFinder`` needs a loader of images and labels and one loss of both; these networks return points,
lists or heatmaps, and some take more than an image. It also goes on after a loss that is not finite.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import atomic_path
from AutoVolumeCalibrationLib.core.report.style import BLUE, VERMILLION

#: Share of the smoothed loss that a new loss does not replace.
SMOOTHING = 0.9
#: The test ends when the smoothed loss exceeds the lowest one by this factor.
DIVERGED = 4.0
#: A slope spans this share of the steps on either side, because the loss varies from batch to batch.
SLOPE_REACH = 0.05
#: Fewer steps do not give a usable curve.
FEWEST_STEPS = 10


@dataclass(frozen=True)
class RangeTest:
    """Result of a range test.

    Attributes:
        rates: learning rates, growing by a constant factor.
        losses: smoothed loss of the step at each rate.
        suggestion: the rate at which the loss falls the fastest, as a share of itself.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


def find_learning_rate(
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of_batch: Callable[[int], torch.Tensor],
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    gradient_clip: float = math.inf,
) -> RangeTest:
    """Train ``steps`` steps at growing rates and find where the loss falls the fastest.

    Batches differ more than a step changes the loss: a network that answers "nothing here" loses more on a slice with
    many landmarks. Therefore each loss counts relative to that of the untrained network on the same batch, times the
    mean of these.

    Network, optimiser and torch's random state are restored afterwards.

    Args:
        network: what ``optimizer`` trains; put into training mode for the test.
        loss_of_batch: number of a batch -> its loss with the present network, a scalar with a gradient; called for
            all batches before the first step, too.
        lowest, highest: range of the rates; the test ends earlier where the loss diverges.
        gradient_clip: largest norm of the gradient.

    Raises:
        UsageError: fewer than ``FEWEST_STEPS`` steps, no range, or a loss that does not fall at any rate.
    """
    if steps < FEWEST_STEPS or not 0 < lowest < highest:
        raise UsageError(
            f"no range test of {steps} steps from {lowest:g} to {highest:g}",
            remedy=f"Give {FEWEST_STEPS} steps or more, and a lowest rate above 0 and below the highest.",
        )
    before = copy.deepcopy((network.state_dict(), optimizer.state_dict()))
    was_training = network.training
    rates = np.geomspace(lowest, highest, steps).tolist()
    try:
        with torch.random.fork_rng():
            network.train()
            ease = _ease_of_batches(loss_of_batch, steps)
            losses = _losses_at(rates, network, optimizer, loss_of_batch, gradient_clip, ease)
    finally:
        network.load_state_dict(before[0])
        optimizer.load_state_dict(before[1])
        optimizer.zero_grad(set_to_none=True)
        network.train(was_training)
    rates = rates[: len(losses)]
    return RangeTest(tuple(rates), tuple(losses), steepest_descent(rates, losses))


def steepest_descent(rates: list[float], losses: list[float]) -> float:
    """The rate before the loss's minimum at which the loss falls by the largest factor per factor of the rate.

    By the largest factor, not by the largest difference: heatmaps that start at random lose most of their loss at
    rates at which the network only presses them down, up to ten times below those at which it learns.

    Raises:
        UsageError: the loss does not fall, or is not positive.
    """
    if losses and min(losses) <= 0:
        raise UsageError(
            "the loss is not positive at all learning rates",
            remedy="Add a constant to your loss for the test, or set learning_rate yourself.",
        )
    reach = max(1, round(SLOPE_REACH * len(losses)))
    lowest = int(np.argmin(losses)) if losses else 0
    if lowest < 2 * reach:
        raise UsageError(
            "the loss falls at no learning rate", remedy="Start from a lower rate, or check the data and the loss."
        )
    # The rates grow by a constant factor: differences over as many steps are slopes.
    before_minimum = np.log(losses[: lowest + 1])
    slopes = before_minimum[2 * reach :] - before_minimum[: -2 * reach]
    return float(rates[reach + int(np.argmin(slopes))])


def range_picture(test: RangeTest, path: Path) -> None:
    """The curve of a range test as a PNG, the suggestion marked.

    Raises:
        UsageError: ``path`` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.loglog(test.rates, test.losses, color=BLUE)  # a fall by the same factor is as steep everywhere
    # The end of a diverging curve would flatten the rest.
    low, start = min(test.losses), test.losses[0]
    axes.set_ylim(low / (start / low) ** 0.05, start * (start / low) ** 0.5)
    axes.axvline(test.suggestion, color=VERMILLION, linestyle="--")
    axes.set(xlabel="learning rate", ylabel="loss (smoothed)")
    axes.set_title(f"Learning rate range test: the loss falls the fastest at {test.suggestion:.1e}")
    axes.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


@torch.no_grad()
def _ease_of_batches(loss_of_batch: Callable[[int], torch.Tensor], count: int) -> list[float]:
    """Mean loss of the untrained network over that of each batch; 1 where a batch has none or no finite one."""
    losses = np.array([float(loss_of_batch(number)) for number in range(count)])
    usable = np.isfinite(losses) & (losses > 0)
    typical = losses[usable].mean() if usable.any() else 1.0
    return np.where(usable, typical / np.where(usable, losses, 1.0), 1.0).tolist()


def _losses_at(
    rates: list[float],
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of_batch: Callable[[int], torch.Tensor],
    gradient_clip: float,
    ease: list[float],
) -> list[float]:
    """Smoothed loss at each rate, up to where it diverges."""
    losses: list[float] = []
    mean = 0.0
    for number, rate in enumerate(rates):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of_batch(number)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), gradient_clip)
        optimizer.step()
        mean = SMOOTHING * mean + (1 - SMOOTHING) * float(loss.detach()) * ease[number]
        # Without the correction the first smoothed losses would be near zero.
        smoothed = mean / (1 - SMOOTHING ** (number + 1))
        if not math.isfinite(smoothed) or smoothed > DIVERGED * min(losses, default=math.inf):
            break
        losses.append(smoothed)
    return losses
