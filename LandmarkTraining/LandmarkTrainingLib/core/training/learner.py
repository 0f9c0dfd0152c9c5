"""One network in training, with its moving average, optimiser and loss, batch by batch; without files or loop."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.network_input import IN_CHANNELS
from AutoVolumeCalibrationLib.core.errors import ModelError, UsageError
from AutoVolumeCalibrationLib.core.networks.registry import ARCHITECTURES, build_network, find_architecture

from ..config import TrainingConfig
from ..options import find_named
from ..runs.distributed import in_parallel
from ..simulator.render import SliceBatch
from ..simulator.slice_planes import SliceSettings
from ..slices.batches import encode_images
from ..slices.blending import cut_out, mixup_batch
from ..slices.given_landmarks import given_maps, taught_maps
from ..slices.targets import Targets, TargetSettings, make_targets, target_settings
from .freezing import freeze, hold_frozen_norms, unfreeze
from .initial_weights.quiet_start import start_quietly
from .optimization import build_optimizer, build_schedule, l1_penalty
from .training_loss import TrainingLoss

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
    targets = targets or target_settings(config, SliceSettings())
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
    """As :func:`landmark_network`, with heatmaps that start at the background's level (``quiet_start``).

    Raises:
        UsageError: unknown network, or an option does not suit it.
    """
    network, options = landmark_network(config, landmarks, targets), network_options(config, landmarks, targets)
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


class Learner:
    """One network in training.

    Attributes:
        network, average: the weights in training, and their moving average, which is exported.
        step: optimiser steps done.
    """

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
        self.step, self._gathered = 0, 0
        self._guided = find_architecture(config.architecture, {}).guided
        self._apply_freezing()
        self._parallel = in_parallel(self.network)

    def leave_group(self) -> None:
        """Drop the network that averages gradients over the processes, while their group still exists."""
        if self._parallel is not self.network:
            self._parallel = self.network
            gc.collect()

    def learn(self, batch: SliceBatch, number: int) -> torch.Tensor:
        """Learn from batch ``number`` of the run; returns its loss (a detached scalar).

        The optimiser steps once the gradients of ``accumulation`` batches are gathered.
        """
        last = self._gathered + 1 == self.config.accumulation
        # Gradients of several processes are averaged once a step, not once a batch.
        with nullcontext() if last else self._without_exchange():
            loss = self.loss_of(batch, number)
            (loss / self.config.accumulation).backward()
        self._gathered += 1
        if last:
            self._take_step()
        return loss.detach()

    def loss_of(self, batch: SliceBatch, number: int) -> torch.Tensor:
        """Loss of batch ``number`` of the run, with its gradient.

        All randomness in it (dropout, blending, ...) depends on the run's seed and the number alone.
        """
        seed = (self.config.seed, number)
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
        image, targets = self._prepare(batch, seed)
        hold_frozen_norms(self.network.train())
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.bf16):
            outputs = self._forward(image, targets, seed)
        loss = self.loss(outputs, targets)
        return loss + self.config.l1 * l1_penalty(self.network.parameters()) if self.config.l1 else loss

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

    def _prepare(self, batch: SliceBatch, seed: tuple[int, ...]) -> tuple[torch.Tensor, Targets]:
        config, images, targets = self.config, batch.images, make_targets(batch, self.targets)
        rng = np.random.default_rng((*seed, 0))
        if config.mixup:
            images, targets = mixup_batch(images, batch.planes, targets, rng, config.mixup)
        if config.cutout:
            images = cut_out(images, config.cutout, rng)
        image = encode_images(images, batch.planes).to(self.device)
        return image.contiguous(memory_format=torch.channels_last), targets.to(self.device)

    def _forward(self, image: torch.Tensor, targets: Targets, seed: tuple[int, ...]) -> Any:
        if not self._guided:
            return self._parallel(image)
        known = given_maps(targets, self.config.known_fraction, (*seed, 1))
        truth = targets.heatmaps
        if self.config.teacher_forcing < 1:
            own = self._own_maps(image, known)
            truth = taught_maps(targets, own, self.config.teacher_forcing, (*seed, 2))
        return self._parallel(image, known, truth)

    @torch.no_grad()
    def _own_maps(self, image: torch.Tensor, known: torch.Tensor | None) -> torch.Tensor:
        self.network.eval()
        own = self.network(image, known).float()
        hold_frozen_norms(self.network.train())
        return own

    def _take_step(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.after_step()
        self.average.update_parameters(self.network)
        self.step, self._gathered = self.step + 1, 0
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
