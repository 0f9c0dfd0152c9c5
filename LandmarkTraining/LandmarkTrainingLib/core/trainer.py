"""The training loop, on MONAI's engines: train, watch, keep checkpoints, resume.

A run lives in one folder: ``config.json``, ``log.jsonl`` (one line per look at the check heads) and
``checkpoint.pt`` (network, average, optimiser, step), replaced whole every ``checkpoint_steps``.
A killed run goes on from there with the batches it would have seen.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.bundles import choose_device
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.network_input import IN_CHANNELS
from AutoVolumeCalibrationLib.core.networks import build_network

from .batches import SimulatedBatches, TrainingData, batch_loader, encode, make_targets, target_settings
from .checkpoints import load_checkpoint, save_checkpoint
from .config import TrainingConfig
from .losses import PeakWeightedMse
from .simulator.render import SliceBatch, SliceSettings, simulate_batch
from .watching import inplane_errors_mm

logger = logging.getLogger(__name__)

#: Slices of the check heads that are looked at with every checkpoint, and their fixed seed.
CHECK_SLICES, CHECK_SEED = 192, 987654321


def network_options(config: TrainingConfig, landmarks: int) -> dict[str, Any]:
    """The run's network options with the channel counts filled in."""
    return {**config.options, "in_channels": IN_CHANNELS, "out_channels": landmarks}


def landmark_network(config: TrainingConfig, landmarks: int) -> torch.nn.Module:
    """The run's network for so many landmarks, freshly initialised from the run's seed."""
    torch.manual_seed(config.seed)
    return build_network(config.architecture, network_options(config, landmarks))


def train(
    config: TrainingConfig,
    data: TrainingData,
    run_folder: Path,
    *,
    resume: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Run or go on with a training; returns the path of its checkpoint.

    Args:
        resume: go on from the folder's checkpoint; without it a folder that holds one is refused.
        progress: called with (step, steps, text) after each checkpoint.
        cancelled: asked after every step; True ends the run with a checkpoint.

    Raises:
        UsageError: the folder holds a run and ``resume`` is False.
    """
    checkpoint = run_folder / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        raise UsageError("holds a run already", source=str(run_folder), remedy="Give --resume or another folder.")
    run_folder.mkdir(parents=True, exist_ok=True)
    (run_folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    torch.set_num_threads(config.threads)
    run = _Run(config, data, run_folder, progress, cancelled)
    if checkpoint.exists():
        run.load(load_checkpoint(checkpoint))
    run.go()
    return checkpoint


class _Run:
    """A run's network, average, optimiser and engine."""

    def __init__(
        self,
        config: TrainingConfig,
        data: TrainingData,
        folder: Path,
        progress: Callable[[int, int, str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.config, self.folder, self.progress, self.cancelled = config, folder, progress, cancelled
        self.data, self.slices = data, SliceSettings()
        self.targets = target_settings(config, self.slices)
        self.device = choose_training_device(config.device)
        self.step, self.started = 0, time.monotonic()
        self.network = landmark_network(config, len(data.train.names)).to(self.device)
        self.network.to(memory_format=torch.channels_last)
        self.average = torch.optim.swa_utils.AveragedModel(
            self.network, multi_avg_fn=warmed_average(config.ema_decay), use_buffers=True
        )
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate_factor(step, config)
        )
        self.loss = PeakWeightedMse(config.peak_weight)
        self.recent_losses: list[float] = []

    def load(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.step = state["step"]

    def go(self) -> None:
        """Train from the present step to the last one, or until cancelled."""
        from ignite.engine import Events
        from monai.engines import SupervisedTrainer
        from monai.inferers import SimpleInferer

        remaining = self.config.steps - self.step
        if remaining <= 0:
            return
        dataset = SimulatedBatches(self.data, self.config, self.slices)
        trainer = SupervisedTrainer(
            device=self.device,
            max_epochs=1,
            epoch_length=remaining,
            train_data_loader=batch_loader(dataset, self.step, self.config.workers),
            network=self.network,
            optimizer=self.optimizer,
            loss_function=lambda prediction, target: self.loss(prediction, *target),
            prepare_batch=self._prepare,
            inferer=SimpleInferer(),
            iteration_update=self._update,
        )
        trainer.logger.setLevel(logging.WARNING)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._after_step)
        trainer.run()
        self._checkpoint()

    def _prepare(self, batch: SliceBatch, device: torch.device, *_: Any, **__: Any) -> tuple[torch.Tensor, tuple]:
        target, known = make_targets(batch, self.targets).to(device), batch.known.to(device)
        return encode(batch).to(device).contiguous(memory_format=torch.channels_last), (target, known)

    def _update(self, engine: Any, batch: SliceBatch) -> dict[str, torch.Tensor]:
        """One optimiser step. MONAI's own iteration has neither autocast on the CPU nor gradient clipping."""
        image, target = engine.prepare_batch(batch, engine.state.device)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.bf16):
            prediction = engine.inferer(image, self.network)
        loss = engine.loss_function(prediction, target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        return {"loss": loss.detach()}

    def _after_step(self, engine: Any) -> None:
        self.step += 1
        self.recent_losses.append(float(engine.state.output["loss"]))
        if not np.isfinite(self.recent_losses[-1]):
            raise UsageError(
                f"the loss became {self.recent_losses[-1]} at step {self.step}", remedy="Lower learning_rate."
            )
        if self.step % self.config.checkpoint_steps == 0 and self.step < self.config.steps:
            self._checkpoint()
        if self.cancelled and self.cancelled():
            engine.terminate()

    def _checkpoint(self) -> None:
        state = {
            "step": self.step,
            "names": list(self.data.train.names),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        save_checkpoint(self.folder / "checkpoint.pt", state)
        self._watch()

    def _watch(self) -> None:
        """Measure the averaged network on the check heads and write a line to the log."""
        batch = simulate_batch(self.data.check, self.data.mirror, CHECK_SLICES, (CHECK_SEED,), self.slices)
        errors = inplane_errors_mm(self.average.module, batch, self.targets, self.device)
        line = {
            "step": self.step,
            "loss": float(np.mean(self.recent_losses)) if self.recent_losses else None,
            "seconds": round(time.monotonic() - self.started, 1),
            **{f"check_{key}": round(value, 3) for key, value in errors.items()},
        }
        self.recent_losses = []
        with open(self.folder / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        if self.progress:
            text = f"loss {line['loss']:.3f}, in-plane error {line['check_median_mm']:.2f} mm" if line["loss"] else ""
            self.progress(self.step, self.config.steps, text)


def warmed_average(decay: float) -> Callable[[list[torch.Tensor], list[torch.Tensor], torch.Tensor | int], None]:
    """Exponential moving average that follows quickly at first: the decay of step n is at most (1 + n) / (10 + n)."""

    def update(averaged: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value.to(mean.dtype), weight)
            else:
                mean.copy_(value)

    return update


def learning_rate_factor(step: int, config: TrainingConfig) -> float:
    """Factor of the learning rate: linear warm-up, then a cosine down to 2 %."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    fraction = min(1.0, step / config.steps)
    return warm * (0.98 * 0.5 * (1 + math.cos(math.pi * fraction)) + 0.02)


def choose_training_device(name: str) -> torch.device:
    """The named device, or CUDA where there is one for "auto"; UsageError where it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(choose_device(name))


def averaged_network(config: TrainingConfig, checkpoint: Path, landmarks: int) -> torch.nn.Module:
    """The moving average of a run's weights, ready to use.

    Raises:
        ModelError: the checkpoint cannot be read.
    """
    network = landmark_network(config, landmarks)
    state = load_checkpoint(checkpoint)["average"]
    network.load_state_dict({k.removeprefix("module."): v for k, v in state.items() if k.startswith("module.")})
    return network.eval()
