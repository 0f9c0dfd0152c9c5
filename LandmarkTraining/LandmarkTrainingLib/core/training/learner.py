"""One network in training, with its moving average, optimiser and loss, batch by batch; without files or loop."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.network_input import IN_CHANNELS
from AutoVolumeCalibrationLib.core.errors import ModelError, UsageError
from AutoVolumeCalibrationLib.core.networks.registry import ARCHITECTURES, build_network, find_architecture

from ..config import TrainingConfig
from ..options import find_named
from ..runs.distributed import in_parallel, total, world_size
from ..simulator.render import SliceBatch
from ..slices.anatomies import AnatomyBatch
from ..slices.batches import encode_images
from ..slices.blending import Blend, cut_out, mixup_batch, mixup_losses_batch
from ..slices.given_landmarks import given_maps, taught_slices
from ..slices.targets import Targets, TargetSettings, make_targets, slice_settings, target_settings
from .arithmetic import arithmetic
from .freezing import freeze, hold_frozen_norms, unfreeze
from .initial_weights.quiet_start import start_quietly
from .optimization import build_optimizer, build_schedule, l1_penalty
from .training_loss import TrainingLoss

#: The loss of heatmaps that weights the peaks.
PEAK_WEIGHTED = "peak_weighted_mse"

#: Smallest side of the images that a network is tried with; the next multiple of its divisor is taken.
_SIDE = 64


def network_options(config: TrainingConfig, landmarks: int, targets: TargetSettings | None = None) -> dict[str, Any]:
    """The run's network options, with those added that follow from its data and targets.

    Args:
        targets: on the simulator's grid when None.

    Raises:
        UsageError: unknown network, or an option does not suit it.
    """
    find_named(ARCHITECTURES, config.architecture, "architecture")
    targets = targets or target_settings(config, slice_settings(config))
    options = {**config.options, "in_channels": IN_CHANNELS, "out_channels": landmarks}
    with _as_settings_error():
        takes = find_architecture(config.architecture, options).options
    if "sigma" in takes:
        options["sigma"] = targets.sigma_pixels
    return options


def landmark_network(config: TrainingConfig, landmarks: int, targets: TargetSettings | None = None) -> torch.nn.Module:
    """The run's network for so many landmarks, freshly initialised from the run's seed.

    Raises:
        UsageError: unknown network, or an option does not suit it.
    """
    torch.manual_seed(config.seed)
    with _as_settings_error():
        return build_network(config.architecture, network_options(config, landmarks, targets))


def fresh_network(config: TrainingConfig, landmarks: int, targets: TargetSettings | None = None) -> torch.nn.Module:
    """As :func:`landmark_network`; with a plain loss its heatmaps start at the background's level (``quiet_start``).

    A loss that weights the peaks keeps faint landmarks by itself, and learns faster from the random start
    (``Testing/benchmarks/dead_channels.py``).

    Raises:
        UsageError: unknown network, or an option does not suit it.
    """
    network, options = landmark_network(config, landmarks, targets), network_options(config, landmarks, targets)
    # Terms that are none are refused once the loss is built.
    if any(isinstance(term, Mapping) and term.get("name") == PEAK_WEIGHTED for term in config.losses):
        return network
    divisor = find_architecture(config.architecture, options).divisor(options)
    start_quietly(network, IN_CHANNELS, divisor * math.ceil(_SIDE / divisor))
    return network


@contextmanager
def _as_settings_error() -> Iterator[None]:
    """Report a network that cannot be built as an error of the run's settings, not of a bundle."""
    try:
        yield
    except ModelError as error:
        raise UsageError(error.what, source="settings", remedy="Correct options.") from error


@dataclass(frozen=True, eq=False)
class Example:
    """A batch as the network takes it: input, targets, the seed of its randomness, and its anatomy among several.

    ``blend``: with ``mixup_losses``, what the slices were blended with.
    """

    image: torch.Tensor
    targets: Targets
    seed: tuple[int, ...]
    anatomy: int | None
    blend: Blend | None


class Learner:
    """One network in training.

    Attributes:
        network, average: the weights in training, and their moving average, which is exported.
        step: optimiser steps done.
        turns: batches until each part of the network had its turn to learn.
    """

    turns = 1

    def __init__(
        self, network: torch.nn.Module, config: TrainingConfig, targets: TargetSettings, device: torch.device
    ) -> None:
        self.config, self.targets, self.device = config, targets, device
        # torch's own types leave memory_format out.
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = torch.optim.swa_utils.AveragedModel(
            self.network, multi_avg_fn=warmed_average(config.ema_decay), use_buffers=True
        )
        self.optimizer = build_optimizer(config, self.network.parameters())
        self.schedule = build_schedule(config, self.optimizer)
        self.loss = TrainingLoss(config)
        self.step = 0
        self._gathered: list[Example] = []
        self._guided = find_architecture(config.architecture, {}).guided
        if self._guided and config.mixup_losses:
            raise UsageError(
                f"mixup_losses does not suit {config.architecture}: its input has the landmarks of one slice",
                source="settings",
                remedy="Leave it out.",
            )
        if config.mixup and not config.mixup_losses and "learned_sigma" in config.options:
            raise UsageError(
                "mixup blends targets, whose width cannot be learned then",
                source="settings",
                remedy="Set mixup_losses=true, or leave learned_sigma out of options.",
            )
        self._apply_freezing()
        self._parallel = in_parallel(self.network)

    def leave_group(self) -> None:
        """Drop the network that averages gradients over the processes, while their group still exists."""
        if self._parallel is not self.network:
            self._parallel = self.network
            gc.collect()

    def learn(self, batch: SliceBatch, number: int) -> torch.Tensor | None:
        """Learn from batch ``number`` of the run.

        The optimiser steps once ``accumulation`` batches are gathered, with the gradient of all their known landmarks
        as one batch would give it (batch norm aside, whose statistics are those of each batch).

        Returns:
            The loss of the step (a detached scalar); None where no step was taken.
        """
        self._gathered.append(self._prepare(batch, number))
        if len(self._gathered) < self.config.accumulation:
            return None
        shares = self._shares()
        loss = torch.zeros((), device=self.device)
        while self._gathered:
            example, share = self._gathered.pop(0), shares.pop(0)
            # Gradients of several processes are averaged once a step, not once a batch.
            with self._without_exchange() if self._gathered else nullcontext():
                part = self._loss(example, share)
                part.backward()
            loss += part.detach()
        self._take_step()
        return loss

    def loss_of(self, batch: SliceBatch, number: int) -> torch.Tensor:
        """Loss of batch ``number`` of the run alone, with its gradient.

        All randomness in it (dropout, blending, ...) depends on the run's seed and the number alone.
        """
        return self._loss(self._prepare(batch, number))

    def checked(self, error: float) -> None:
        """Report the error on the validation slices to the schedule."""
        self.schedule.after_check(error)

    def state(self) -> dict[str, Any]:
        """Everything that ``load`` needs to resume exactly here; call it between steps."""
        return {
            "step": self.step,
            "kinds": self._kinds(),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Resume from ``state``. Raises some exception if it belongs to another network or optimiser."""
        kinds = state.get("kinds", self._kinds())  # earlier checkpoints lack them
        if kinds != self._kinds():  # torch loads one optimiser's state into another, and fails later
            raise ValueError(f"{kinds} is not {self._kinds()}")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.step = state["step"]
        self._apply_freezing()

    def _kinds(self) -> list[str]:
        return [self.config.architecture, self.config.optimizer, self.config.schedule]

    def _prepare(self, batch: SliceBatch, number: int) -> Example:
        config, images, targets = self.config, batch.images, make_targets(batch, self.targets)
        seed = (config.seed, number)
        rng = np.random.default_rng((*seed, 0))
        blend = None
        if config.mixup and config.mixup_losses:
            images, blend = mixup_losses_batch(images, batch.planes, targets, rng, config.mixup)
            blend = blend.to(self.device)
        elif config.mixup:
            images, targets = mixup_batch(images, batch.planes, targets, rng, config.mixup)
        if config.cutout:
            images = cut_out(images, config.cutout, rng, config.cutout_chance)
        image = encode_images(images, batch.planes).to(self.device).contiguous(memory_format=torch.channels_last)
        anatomy = batch.anatomy if isinstance(batch, AnatomyBatch) else None
        return Example(image, targets.to(self.device), seed, anatomy, blend)

    def _shares(self) -> list[dict[str, torch.Tensor]]:
        """Of each gathered batch: the share of the step's known landmarks that it has, for each kind of loss."""
        counts = [self.loss.known_of(example.targets, example.blend) for example in self._gathered]
        # Gradients are averaged over the processes, not summed.
        sums = {kind: total(torch.stack([c[kind] for c in counts]).sum()) / world_size() for kind in counts[0]}
        return [{kind: count.clamp_min(1) / sums[kind].clamp_min(1) for kind, count in c.items()} for c in counts]

    def _loss(self, example: Example, share: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
        torch.manual_seed(int(np.random.SeedSequence(example.seed).generate_state(1, np.uint64)[0] >> 1))
        hold_frozen_norms(self.network.train())
        with arithmetic(self.device, self.config.bf16):
            outputs = self._forward(example)
        loss = self.loss(outputs, example.targets, example.blend, share)
        if not self.config.l1:
            return loss
        parts = self.config.accumulation if share else 1
        return loss + self.config.l1 * l1_penalty(self.network.parameters()) / parts

    def _forward(self, example: Example) -> Any:
        image, targets, seed = example.image, example.targets, example.seed
        if example.anatomy is not None:
            return self._parallel(image, example.anatomy)
        if not self._guided:
            return self._parallel(image)
        known = given_maps(targets, self.config.known_fraction, (*seed, 1))
        taught = taught_slices(len(image), self.config.teacher_forcing, (*seed, 2)).to(image.device)
        return self._parallel(image, known, targets.heatmaps, taught)

    def _take_step(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.after_step()
        self.average.update_parameters(self.network)
        self.step += 1
        if self.step == self.config.unfreeze_step:
            unfreeze(self.network, self.config.freeze)

    def _apply_freezing(self) -> None:
        if self.config.freeze and (not self.config.unfreeze_step or self.step < self.config.unfreeze_step):
            freeze(self.network, self.config.freeze)
        else:
            unfreeze(self.network, self.config.freeze)

    def _without_exchange(self) -> Any:
        if isinstance(self._parallel, torch.nn.parallel.DistributedDataParallel):
            return self._parallel.no_sync()
        return nullcontext()


def warmed_average(
    decay: float,
) -> Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor], torch.Tensor | int], None]:
    """Exponential moving average with a warm-up: the decay of step n is at most (1 + n) / (10 + n)."""

    def update(averaged: Sequence[torch.Tensor], current: Sequence[torch.Tensor], count: torch.Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value.to(mean.dtype), weight)
            else:
                mean.copy_(value)

    return update
