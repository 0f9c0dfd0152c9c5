"""What a network costs in multiply-adds, which do not depend on the machine or on what else runs on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ...config import TrainingConfig
from ...simulator.render import SliceBatch
from ...simulator.slice_planes import SliceSettings
from ...slices.batches import encode
from ...slices.sources import part_of
from ...slices.targets import target_settings
from ...training.learner import Learner, landmark_network


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
    """Count one slice, and one batch of training with the configuration's losses and options.

    Args:
        slices: any two or more; their number does not matter, only their size.
    """
    targets = target_settings(config, SliceSettings())
    network = landmark_network(config, landmarks, targets)
    learner = Learner(network, config, targets, torch.device("cpu"))
    two = part_of(slices, slice(0, 2))
    of_training = _multiply_adds(lambda: learner.loss_of(two, 0).backward())
    image = encode(part_of(slices, slice(0, 1)))
    network.eval()
    with torch.no_grad():
        per_slice = _multiply_adds(lambda: network(image))
    per_step = of_training * config.batch_size * config.accumulation // 2
    return Costs(per_slice, per_step, sum(parameter.numel() for parameter in network.parameters()))


def steps_for(tera_multiply_adds: float, costs: Costs) -> int:
    """Steps of a training of so many 10^12 multiply-adds; at least one."""
    return max(1, round(tera_multiply_adds * 1e12 / costs.per_step))


def _multiply_adds(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() // 2
