"""What a network costs in multiply-adds, which do not depend on the machine or on what else runs on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from ...config import TrainingConfig
from ...simulator.render import SliceBatch
from ...simulator.slice_planes import SliceSettings
from ...slices.batches import encode
from ...slices.sources import part_of
from ...slices.targets import target_settings
from ...training.learner import landmark_network
from ...training.search_agent.learner import new_learner


@dataclass(frozen=True)
class Costs:
    """Multiply-adds of convolutions and matrix products; other operations are few and are not counted.

    Attributes:
        per_slice: of the heatmaps of one slice.
        per_step: of a step of training: forward, backward, all batches of the step.
        parameters: of the network.
    """

    per_slice: int
    per_step: int
    parameters: int


def network_costs(config: TrainingConfig, landmarks: int, slices: SliceBatch) -> Costs:
    """Count one slice, and batches of training with the configuration's losses and options.

    What agents compute on a slice depends on their walk; counted is that of untrained ones.

    Args:
        slices: any; their number does not matter, only their size.
    """
    targets = target_settings(config, SliceSettings())
    network = landmark_network(config, landmarks, targets)
    learner = new_learner(network, config, targets, torch.device("cpu"))
    batch = part_of(slices, torch.arange(config.batch_size) % len(slices.images))

    def learn(turn: int) -> None:
        learner.loss_of(batch, turn).backward()

    costs = [_multiply_adds(partial(learn, turn)) for turn in range(learner.turns)]
    image = encode(part_of(slices, slice(0, 1)))
    network.eval()
    with torch.no_grad():
        per_slice = _multiply_adds(lambda: network(image))
    per_step = sum(costs) * config.accumulation // learner.turns
    return Costs(per_slice, per_step, sum(parameter.numel() for parameter in network.parameters()))


def steps_for(tera_multiply_adds: float, costs: Costs) -> int:
    """Steps of a training of so many 10^12 multiply-adds; at least one."""
    return max(1, round(tera_multiply_adds * 1e12 / costs.per_step))


def _multiply_adds(work: Callable[[], object]) -> int:
    own = {torch.ops.aten.convolution_backward: _of_backward_convolution}
    with FlopCounterMode(display=False, custom_mapping=own) as counter:
        work()
    return counter.get_total_flops() // 2


def _of_backward_convolution(
    gradient: Sequence[int],
    image: Sequence[int],
    weight: Sequence[int],
    _bias: object,
    _stride: object,
    _padding: object,
    _dilation: object,
    transposed: bool,
    _output_padding: object,
    _groups: int,
    needed: Sequence[bool],
    **_: object,
) -> int:
    """Operations of a convolution's gradients, two for each multiply-add, from the shapes of its tensors.

    The gradients of input and weights each cost what the convolution costs. torch's own formula takes that of the
    weights as if every channel met every other one, in each of the groups: 14 times too much for an EfficientNet-B7.
    """
    of_convolution = 2 * math.prod(image if transposed else gradient) * math.prod(weight[1:])
    return of_convolution * sum(needed[:2])
