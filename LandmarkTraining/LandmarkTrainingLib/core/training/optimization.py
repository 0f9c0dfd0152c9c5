"""Optimisers, and the course of the learning rate over a run.

The learning rate is ``config.learning_rate`` times a linear warm-up times the course. A course is a function of the
step alone, or in the case of the plateau of the errors seen at the checkpoints. All times are fractions of the run, so
that a recipe suits a run of any length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch

from ..config import TrainingConfig
from ..options import build_with_options, find_named

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}

#: Parts of torch's signatures that are not a matter of a recipe.
_NO_OPTIONS = ("maximize", "foreach", "fused", "capturable", "differentiable")


def build_optimizer(config: TrainingConfig, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The configuration's optimiser; ``optimizer_options`` are keywords of its class in ``torch.optim``.

    Raises:
        UsageError: the optimiser or an option is unknown, or a value is refused.
    """
    optimizer = find_named(OPTIMIZERS, config.optimizer, "optimizer")
    return build_with_options(
        optimizer,
        config.optimizer_options,
        f"optimizer {config.optimizer}",
        parameters,
        hidden=_NO_OPTIONS,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
    )


def l1_penalty(parameters: Iterable[torch.nn.Parameter]) -> torch.Tensor:
    """Scalar float32: sum of the absolute values of the parameters that are being trained."""
    norms = [parameter.float().abs().sum() for parameter in parameters if parameter.requires_grad]
    return torch.stack(norms).sum() if norms else torch.zeros(())


def constant() -> Callable[[float], float]:
    """The same rate all along."""
    return lambda fraction: 1.0


def time_decay(rate: float = 9.0) -> Callable[[float], float]:
    """``1 / (1 + rate * fraction)``: the default ends at a tenth."""
    _require(rate >= 0, "rate must not be negative")
    return lambda fraction: 1 / (1 + rate * fraction)


def step_decay(drop: float = 0.5, every: float = 0.2) -> Callable[[float], float]:
    """Times ``drop`` after each part ``every`` of the run."""
    _require(0 < drop <= 1 and every > 0, "drop must be in 0..1 and every positive")
    # The small addend keeps a step that is meant to start a part from rounding into the one before.
    return lambda fraction: drop ** math.floor(fraction / every + 1e-9)


def milestones(first: float = 0.5, second: float = 0.8, drop: float = 0.1) -> Callable[[float], float]:
    """Times ``drop`` at the part ``first`` of the run, and again at ``second`` (KNEEL: epochs 50 and 80 of 100)."""
    _require(0 < drop <= 1 and 0 <= first <= second <= 1, "drop must be in 0..1 and first at most second, both in 0..1")
    return lambda fraction: drop ** ((fraction >= first) + (fraction >= second))


def exponential(end: float = 0.02) -> Callable[[float], float]:
    """From 1 down to ``end``, by the same factor with each step."""
    _require(0 < end <= 1, "end must be in 0..1, not 0")
    return lambda fraction: end**fraction


def cyclic(cycles: float = 4, low: float = 0.1) -> Callable[[float], float]:
    """Triangles from ``low`` up to 1 and down again (Smith 2017, arXiv:1506.01186)."""
    _require(cycles > 0 and 0 <= low <= 1, "cycles must be positive and low in 0..1")
    return lambda fraction: low + (1 - low) * (1 - abs(2 * (cycles * fraction % 1) - 1))


def cosine(end: float = 0.02) -> Callable[[float], float]:
    """Half a cosine from 1 down to ``end``."""
    _require(0 <= end <= 1, "end must be in 0..1")
    return lambda fraction: (1 - end) * 0.5 * (1 + math.cos(math.pi * fraction)) + end


class Plateau:
    """Times ``drop`` whenever the error has not fallen for ``patience`` checks in a row, down to ``end``.

    An error counts as fallen when it is below ``(1 - threshold)`` times the lowest so far; one that is no number
    (NaN) has not fallen.
    """

    def __init__(self, drop: float = 0.5, patience: int = 3, threshold: float = 1e-3, end: float = 0.01) -> None:
        _require(0 < drop < 1 and 0 <= end <= 1, "drop and end must be in 0..1")
        _require(patience >= 1 and 0 <= threshold < 1, "patience must be at least 1 and threshold in 0..1")
        self.drop, self.patience, self.threshold, self.end = drop, patience, threshold, end
        self.drops, self.waited, self.best = 0, 0, math.inf

    def __call__(self, fraction: float) -> float:
        return max(self.end, self.drop**self.drops)

    def after_check(self, error: float) -> None:
        if error < self.best * (1 - self.threshold):
            self.best, self.waited = error, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.drops, self.waited = self.drops + 1, 0


LR_SCHEDULES: dict[str, Callable[..., Callable[[float], float]]] = {
    "constant": constant,
    "time_decay": time_decay,
    "step_decay": step_decay,
    "milestones": milestones,
    "exponential": exponential,
    "cyclic": cyclic,
    "cosine": cosine,
    "plateau": Plateau,
}


class Schedule:
    """Sets the learning rates of an optimiser's parameter groups, each relative to what it was built with."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, course: Callable[[float], float], steps: int, warmup_steps: int
    ) -> None:
        self._optimizer, self._course, self._steps, self._warmup_steps = optimizer, course, steps, warmup_steps
        self._initial = [group["lr"] for group in optimizer.param_groups]
        self._step = 0
        self._apply()

    def factor(self, step: int) -> float:
        """What the learning rate is multiplied with in ``step`` (0: the first), given the checks so far."""
        warm = min(1.0, (step + 1) / max(1, self._warmup_steps))
        return warm * self._course(min(1.0, step / self._steps))

    def after_step(self) -> None:
        """To be called after each step of the optimiser."""
        self._step += 1
        self._apply()

    def after_check(self, error: float) -> None:
        """To be called with the error at each checkpoint; only the plateau heeds it."""
        if isinstance(self._course, Plateau):
            self._course.after_check(error)
            self._apply()

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers from which :meth:`load_state_dict` goes on exactly."""
        state: dict[str, Any] = {"step": self._step}
        if isinstance(self._course, Plateau):
            state |= {"drops": self._course.drops, "waited": self._course.waited, "best": self._course.best}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken; after the optimiser's own state is loaded."""
        self._step = state["step"]
        if isinstance(self._course, Plateau) and "drops" in state:
            self._course.drops, self._course.waited, self._course.best = state["drops"], state["waited"], state["best"]
        self._apply()

    def _apply(self) -> None:
        factor = self.factor(self._step)
        for group, initial in zip(self._optimizer.param_groups, self._initial, strict=True):
            group["lr"] = initial * factor


def build_schedule(config: TrainingConfig, optimizer: torch.optim.Optimizer) -> Schedule:
    """The configuration's schedule of an optimiser that was just built: sets the rate of the first step.

    Raises:
        UsageError: the schedule or an option is unknown, or a value is refused.
    """
    course = find_named(LR_SCHEDULES, config.schedule, "schedule")
    built = build_with_options(course, config.schedule_options, f"schedule {config.schedule}")
    return Schedule(optimizer, built, config.steps, config.warmup_steps)


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)
