"""The training loop, on MONAI's engines: train, validate, save checkpoints, stop, resume.

A killed run resumes from its last checkpoint with the batches it would have used, and reaches the same weights.
``run_folder`` describes the files of a run.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.errors import Cancelled, UsageError
from AutoVolumeCalibrationLib.core.models.backend import choose_device

from ..config import TrainingConfig
from ..evaluation.pictures import kernel_picture, prediction_picture
from ..evaluation.validation import validation_errors_mm
from ..runs import distributed
from ..runs.checkpoints import state_errors_as_model_error
from ..runs.flat_channels import FlatChannels
from ..runs.run_folder import KERNELS, PREDICTIONS, RunFolder
from ..runs.run_lock import exclusive_lock
from ..runs.run_logging import CombinedLogger, open_loggers, scalars
from ..simulator.render import SliceBatch
from ..simulator.slice_planes import SliceSettings
from ..slices.anatomies import each_anatomy
from ..slices.batches import Batches, Numbers, TrainingData, batch_loader
from ..slices.targets import slice_settings, target_settings
from .learner import Learner, fresh_network, landmark_network
from .search_agent.learner import new_learner

logger = logging.getLogger(__name__)

Progress = Callable[[int, int, Mapping[str, Any]], None]


def train(
    config: TrainingConfig,
    data: TrainingData,
    run_folder: Path,
    *,
    network: torch.nn.Module | None = None,
    slices: SliceSettings | None = None,
    resume: bool = False,
    begun: Callable[[], None] | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> RunFolder:
    """Run or resume a training; returns its folder.

    Args:
        network: what to train, e.g. with weights of another run; a fresh one of the configuration when None.
        slices: grid of the slices, the simulator's own when None.
        resume: start from the folder's checkpoint; otherwise a folder that holds one is refused.
        begun: called after all checks, right before the first step, to write further files to the folder.
        progress: called with (step, steps, line of the log) after each checkpoint.
        cancelled: called after every step; True ends the run with a checkpoint, like a file ``stop`` in the folder
            and the signals SIGINT and SIGTERM.

    Raises:
        UsageError: the folder holds a run and ``resume`` is False, another process is at work in it, or the loss is no
            longer finite.
        ModelError: the checkpoint is damaged, or does not fit the settings.
        Cancelled: the run was stopped; its checkpoint is written.
    """
    folder, slices = RunFolder(run_folder), slices or slice_settings(config)
    if not resume:
        folder.require_new()
    torch.set_num_threads(config.threads)
    device = choose_training_device(config.device)
    with distributed.process_group(device):
        targets = target_settings(config, slices)
        network = network or fresh_network(config, len(data.names), targets)
        learner = new_learner(network, config, targets, distributed.own_device(device))
        run = _Run(learner, data, folder, progress, cancelled)
        try:
            with exclusive_lock(folder.path) if distributed.rank() == 0 else nullcontext():
                if folder.checkpoint.exists():
                    run.load(folder.load())
                if distributed.rank() == 0:
                    folder.begin(config)  # last: a run whose checkpoint does not fit these settings keeps its own
                    if begun:
                        begun()
                run.go()
        finally:
            learner.leave_group()
    return folder


class _Run:
    """A learner with its loop, its folder, and the reasons to end early."""

    def __init__(
        self,
        learner: Learner,
        data: TrainingData,
        folder: RunFolder,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.learner, self.config, self.data, self.folder = learner, learner.config, data, folder
        self.progress, self.cancelled = progress, cancelled
        self.started, self.first_step = time.monotonic(), 0
        self.best, self.checks_since_best = math.inf, 0
        self.losses: list[torch.Tensor] = []
        self.stopped = self.interrupted = False
        self.loggers = CombinedLogger([])  # until the loop begins
        self.flat = FlatChannels()

    def load(self, state: dict[str, Any]) -> None:
        with state_errors_as_model_error(self.folder.checkpoint):
            if tuple(state["names"]) != self.data.names:
                raise ValueError("other landmarks")
            self.learner.load(state)
            self.best, self.checks_since_best = state["best"], state["checks_since_best"]
        self.first_step = self.learner.step
        if distributed.rank() == 0:
            self.folder.trim_log(self.first_step)

    def go(self) -> None:
        """Train from the present step to the last one, until the error stops falling, or until stopped."""
        first, last = (step * self.config.accumulation for step in (self.learner.step, self.config.steps))
        if first >= last or self._patience_exhausted():
            return
        with self._signals(), self._logging():
            self._trainer(first, last).run()
        if self.stopped:
            if distributed.rank() == 0:
                self.folder.stop_request.unlink(missing_ok=True)
            raise Cancelled(f"stopped at step {self.learner.step}; the run can be resumed")

    def _trainer(self, first: int, last: int) -> Any:
        """MONAI's engine over the batches ``first`` to ``last`` of every process."""
        from ignite.engine import Events
        from monai.engines import SupervisedTrainer

        world, rank = distributed.world_size(), distributed.rank()
        numbers = Numbers(first * world + rank, last * world, world)
        trainer = SupervisedTrainer(
            device=self.learner.device,
            max_epochs=1,
            epoch_length=len(numbers),
            train_data_loader=batch_loader(Batches(self.data.source, self.config), numbers, self.config.workers),
            network=self.learner.network,
            optimizer=self.learner.optimizer,
            loss_function=self.learner.loss,
            iteration_update=lambda engine, batch: self._learn(batch, first + engine.state.iteration - 1),
        )
        trainer.logger.setLevel(logging.CRITICAL)  # it logs errors that are reported by whoever catches them
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._after_batch)
        return trainer

    def _learn(self, batch: SliceBatch, number: int) -> dict[str, torch.Tensor | None]:
        return {"loss": self.learner.learn(batch, number * distributed.world_size() + distributed.rank())}

    def _after_batch(self, engine: Any) -> None:
        loss = engine.state.output["loss"]
        if loss is None:
            return
        self.losses.append(loss)
        step = self.learner.step
        at_end = step == self.config.steps
        self.stopped = distributed.any_of(self._asked_to_stop()) and not at_end
        if step % self.config.checkpoint_steps == 0 or at_end or self.stopped:
            self._require_finite()
            self._checkpoint()
        if self.stopped or self._patience_exhausted():
            engine.terminate()

    def _asked_to_stop(self) -> bool:
        return self.interrupted or self.folder.stop_request.exists() or bool(self.cancelled and self.cancelled())

    def _patience_exhausted(self) -> bool:
        return 0 < self.config.patience <= self.checks_since_best

    def _require_finite(self) -> None:
        loss = float(torch.stack(self.losses).mean())
        if not np.isfinite(loss):
            raise UsageError(f"the loss became {loss} before step {self.learner.step}", remedy="Lower learning_rate.")

    def _checkpoint(self) -> None:
        """Measure the error, then write weights, log and picture. All processes call it, the first one writes."""
        errors = self._errors() if distributed.rank() == 0 else {}
        error = distributed.agreed(errors.get("median_mm", math.nan))
        self.learner.checked(error)
        self.checks_since_best = 0 if error < self.best else self.checks_since_best + 1
        better, self.best = error < self.best, min(self.best, error)
        if distributed.rank() == 0:
            self._write(errors, better)
        self.losses = []

    def _errors(self) -> dict[str, Any]:
        network = self.learner.average.module
        return validation_errors_mm(network, self.data, self.learner.targets, self.learner.device)

    def _write(self, errors: Mapping[str, Any], better: bool) -> None:
        step, average = self.learner.step, self.learner.average.module
        if better:
            self.folder.save_best({"average": average.state_dict(), "step": step, "names": list(self.data.names)})
        state = {"best": self.best, "checks_since_best": self.checks_since_best, "names": list(self.data.names)}
        self.folder.save({**self.learner.state(), **state})
        line = self._log_line(errors)
        self.folder.append_log(line)
        self.loggers.log_scalars(step, scalars(line))
        self.flat.report(line)
        if self._picture_is_due(step):
            self._draw(step)
        if self.progress:
            self.progress(step, self.config.steps, line)

    def _log_line(self, errors: Mapping[str, Any]) -> dict[str, Any]:
        step, seconds = self.learner.step, time.monotonic() - self.started
        left = (self.config.steps - step) * seconds / max(1, step - self.first_step)
        return {
            "step": step,
            "steps": self.config.steps,
            "loss": float(torch.stack(self.losses).mean()),
            "learning_rate": self.learner.optimizer.param_groups[0]["lr"],
            "seconds": round(seconds, 1),
            "seconds_left": round(left, 1),
            **{f"check_{key}": round(v, 3) if isinstance(v, float) else v for key, v in errors.items()},
        }

    def _picture_is_due(self, step: int) -> bool:
        """Whether a multiple of ``picture_steps`` was reached since the last checkpoint."""
        every, passed = self.config.picture_steps, len(self.losses) // self.config.accumulation
        return every > 0 and step // every > (step - passed) // every

    def _draw(self, step: int) -> None:
        learner = self.learner
        for network, data in each_anatomy(learner.average.module, self.data):
            path, title = self.folder.picture(PREDICTIONS, step, data.title), f"Step {step} {data.title}".rstrip()
            prediction_picture(
                *(network, data.check, learner.targets, data.names, path), device=learner.device, title=title
            )
            self.loggers.log_picture(step, f"predictions {data.title}".rstrip(), path)
            path = self.folder.picture(KERNELS, step, data.title)
            kernel_picture(network, path)
            self.loggers.log_picture(step, f"kernels {data.title}".rstrip(), path)

    @contextmanager
    def _logging(self) -> Iterator[None]:
        """The loggers of the configuration, of the first process only."""
        names = self.config.loggers if distributed.rank() == 0 else ()
        uri = self.config.mlflow_uri or None
        self.loggers = open_loggers(names, self.folder.path, first_step=self.first_step, mlflow_uri=uri)
        try:
            yield
        finally:
            self.loggers.close()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the run after the present step, not in the middle of it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(_number: int, _frame: object) -> None:
            self.interrupted = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def choose_training_device(name: str) -> torch.device:
    """The named device, or for "auto" CUDA if available; UsageError if the device is not available."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(choose_device(name))


def best_network(config: TrainingConfig, folder: RunFolder, slices: SliceSettings | None = None) -> torch.nn.Module:
    """The averaged weights of a run's best checkpoint, ready to use.

    Raises:
        ModelError: they cannot be read, or are of another network.
    """
    state = folder.best_weights()
    targets = target_settings(config, slices or slice_settings(config))
    with state_errors_as_model_error(folder.best):
        network = landmark_network(config, len(state["names"]), targets)
        network.load_state_dict(state["average"])
    return network.eval()
