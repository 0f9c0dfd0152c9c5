"""The settings of a training run: the window fills them in, the command line reads them, the run folder keeps them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.errors import UsageError

#: The valid range of a number in words, and its test. Infinity and NaN are never valid.
_Range = tuple[str, Callable[[float], bool]]
_POSITIVE: _Range = ("above 0", lambda value: value > 0)
_NOT_NEGATIVE: _Range = ("0 or more", lambda value: value >= 0)
_AT_LEAST_ONE: _Range = ("1 or more", lambda value: value >= 1)
_SHARE: _Range = ("from 0 to 1", lambda value: 0 <= value <= 1)
_BELOW_ONE: _Range = ("from 0 to below 1", lambda value: 0 <= value < 1)

_RANGES: Mapping[str, _Range] = {
    "learning_rate": _POSITIVE,
    "pixel_mm": _POSITIVE,
    "sigma_mm": _POSITIVE,
    "tau_mm": _POSITIVE,
    "gradient_clip": _POSITIVE,
    "peak_weight": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "l1": _NOT_NEGATIVE,
    "warmup_steps": _NOT_NEGATIVE,
    "unfreeze_step": _NOT_NEGATIVE,
    "patience": _NOT_NEGATIVE,
    "picture_steps": _NOT_NEGATIVE,
    "workers": _NOT_NEGATIVE,
    "seed": _NOT_NEGATIVE,
    "risk_studies": _NOT_NEGATIVE,
    "folds": _NOT_NEGATIVE,
    "fold": _NOT_NEGATIVE,
    "batch_size": _AT_LEAST_ONE,
    "steps": _AT_LEAST_ONE,
    "checkpoint_steps": _AT_LEAST_ONE,
    "accumulation": _AT_LEAST_ONE,
    "threads": _AT_LEAST_ONE,
    "volume_fraction": _SHARE,
    "study_fraction": _SHARE,
    "mixup": _SHARE,
    "known_fraction": _SHARE,
    "teacher_forcing": _SHARE,
    "cutout": _BELOW_ONE,
    "cutout_chance": _SHARE,
    "ema_decay": _BELOW_ONE,
}

#: As ``core.detection.sagittal_pairs`` has them; the first is the default.
SAGITTAL_PAIRS = ("middle", "nearest")

#: Type of the members of list settings.
_MEMBERS: Mapping[str, type] = {
    "freeze": str,
    "train_heads": int,
    "check_heads": int,
    "loggers": str,
}

_REMEDY = "Give a JSON file with settings, such as the config.json of a run."


@dataclass(frozen=True)
class TrainingConfig:
    """Everything a run depends on besides its data.

    Attributes:
        name: name of the exported bundle; "": that of the anatomy, such as ``brain-scout``.
        protocol: protocol whose landmarks are learnt, in its order.
        anatomies: of a run that learns several anatomies with one network: ``{"protocol": ..., "labels": ...}`` of each
            (``core.joint.anatomies``); empty: the run learns the ``protocol`` alone.
        architecture, options: network of ``core.networks.registry`` (channel counts and target width are filled in).
        base: bundle (name or folder) whose weights the network starts from, "" for random ones.
        encoder_weights: of networks with a published encoder: its ImageNet weights, a local file, or "public" to
            download them; "": random ones.
        freeze: patterns (``fnmatch``) of parameter names that are frozen, until ``unfreeze_step``
            (0: to the end).
        train_heads, check_heads: numbers of the label maps for training and for validation.
        volume_fraction, study_fraction: parts of the batches cut from real volumes of split ``train``, and from the
            studies of a data set, instead of label maps.
        folds, fold: the data set's subjects are split into this number of folds (at most one each), and this one is
            held out for validation; 0 folds: none is held out.
        pixel_mm: of the slices as the network sees them; small anatomies need small pixels.
        sigma_mm, tau_mm: width of the targets, and how they fall with the distance from the slice.
        sagittal_pairs: what both landmarks of a left/right pair are on sagittal slices, which do not show which of the
            two it is: their "middle", or the "nearest" one (``core.detection.sagittal_pairs``).
        peak_weight: how much more a pixel at a target's peak counts than background, in ``peak_weighted_mse``.
        losses, point_losses: terms ``{"name": ..., "weight": ..., options}`` for networks that output heatmaps,
            and for those that output coordinates (``core.training.losses``).
        augmentation: of slices from data sets (``core.slices.augmentation``); empty: its defaults.
        corrected_targets: learn PC, LVAC and LVPC where human raters place them
            (``core.known_heads.corrected_targets``).
        simulation: share of the simulated slices that show each effect of clinical scouts
            (``core.simulator.effect_settings``); empty: none.
        mixup: share of the slices blended with another one.
        mixup_losses: blend the losses of both slices instead of their targets (as KNEEL does).
        cutout, cutout_chance: share of an image's pixels blanked, and of the images that it happens to.
        known_fraction, teacher_forcing: for networks with guidance: share of the slices with some landmarks given,
            and of those whose later groups see the true maps of earlier groups instead of the network's own.
        optimizer, optimizer_options, learning_rate, weight_decay: of ``core.training.optimization``; the decay is the
            L2 term.
        schedule, schedule_options, warmup_steps: schedule of the learning rate.
        l1: weight of the L1 norm of the parameters in the loss.
        gradient_clip: largest norm of the gradient.
        accumulation: batches whose gradients make one step.
        ema_decay: moving average of the weights; the average is what is exported.
        batch_size, steps: slices per batch, and optimiser steps in all.
        patience: checkpoints without a better error after which the run ends; 0: never.
        checkpoint_steps: steps between checkpoints, each with the error on the validation slices.
        picture_steps: steps between pictures of the predictions and of the first kernels, drawn at the next checkpoint;
            0: none.
        loggers: where the log goes besides the run's folder: "tensorboard", "mlflow" (to ``mlflow_uri``; "": MLflow's
            own default).
        bf16: bfloat16 arithmetic where the processor has it.
        threads, workers: processor threads of the network, processes that make batches.
        seed: of all random numbers.
        risk_studies: simulated studies of the held-out label maps on which the exported model's risk of a wrong plan is
            fitted; 0: none, ``autovolume risk`` measures it later.
        training_data: what the network learnt from and under which licence, in words, for the bundle's metadata.

    Raises:
        UsageError: a number is out of its range, or a list has members of another type.
    """

    name: str = ""
    protocol: str = "BrainAcPc"
    anatomies: tuple[dict[str, Any], ...] = ()
    architecture: str = "unet_plus_plus"
    options: dict[str, Any] = field(
        default_factory=lambda: {"features": [24, 32, 64, 128, 128, 32], "stem": 2, "dropout": 0.0}
    )
    base: str = ""
    encoder_weights: str = ""
    freeze: tuple[str, ...] = ()
    unfreeze_step: int = 0
    train_heads: tuple[int, ...] = tuple(range(1, 19))
    check_heads: tuple[int, ...] = (19, 20)
    volume_fraction: float = 0.0
    study_fraction: float = 1.0
    folds: int = 0
    fold: int = 0
    pixel_mm: float = 2.0
    sigma_mm: float = 6.0
    tau_mm: float = 12.0
    sagittal_pairs: str = SAGITTAL_PAIRS[0]
    peak_weight: float = 20.0
    losses: tuple[dict[str, Any], ...] = ({"name": "peak_weighted_mse", "weight": 1.0},)
    point_losses: tuple[dict[str, Any], ...] = ({"name": "wing", "weight": 1.0},)
    augmentation: dict[str, Any] = field(default_factory=dict)
    corrected_targets: bool = False
    simulation: dict[str, Any] = field(default_factory=dict)
    mixup: float = 0.0
    mixup_losses: bool = False
    cutout: float = 0.0
    cutout_chance: float = 1.0
    known_fraction: float = 0.0
    teacher_forcing: float = 1.0
    optimizer: str = "adamw"
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    schedule_options: dict[str, Any] = field(default_factory=dict)
    warmup_steps: int = 200
    l1: float = 0.0
    gradient_clip: float = 2.0
    accumulation: int = 1
    ema_decay: float = 0.998
    batch_size: int = 8
    steps: int = 20000
    patience: int = 0
    checkpoint_steps: int = 500
    picture_steps: int = 500
    loggers: tuple[str, ...] = ()
    mlflow_uri: str = ""
    bf16: bool = True
    threads: int = 1
    workers: int = 1
    device: str = "auto"
    seed: int = 0
    risk_studies: int = 0
    training_data: str = ""

    def __post_init__(self) -> None:
        for name in (entry.name for entry in dataclasses.fields(self)):
            _require_valid(name, getattr(self, name), "setting")

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @staticmethod
    def from_json(path: Path, base: TrainingConfig | None = None) -> TrainingConfig:
        """Read a configuration file; what it leaves out is as in ``base``, the defaults when None.

        Raises:
            UsageError: the file is not a JSON object, or a setting is unknown or of the wrong kind.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"is not a training configuration ({error})", source=str(path), remedy=_REMEDY) from error
        # A bundle's configs/train.json keeps the settings beside what MONAI reads.
        settings = values.get("training", values) if isinstance(values, dict) else None
        if not isinstance(settings, dict):
            raise UsageError("is not a training configuration (not a JSON object)", source=str(path), remedy=_REMEDY)
        return (base or TrainingConfig()).replaced(settings, source=str(path))

    def replaced(self, values: dict[str, Any], source: str = "setting") -> TrainingConfig:
        """This configuration with some settings changed, each checked against the kind of its default and its range.

        Raises:
            UsageError: a setting is unknown, of another kind, or out of range; it carries ``source``.
        """
        defaults = dataclasses.asdict(self)
        unknown = sorted(set(values) - set(defaults))
        if unknown:
            near = "".join(f"Did you mean {name}? " for name in get_close_matches(unknown[0], defaults, n=1))
            remedy = f"{near}Known: {', '.join(defaults)}."
            raise UsageError(f"unknown setting {unknown[0]}", source=source, remedy=remedy)
        converted = {key: _like(defaults[key], value, f"{source}: {key}") for key, value in values.items()}
        for key, value in converted.items():
            _require_valid(key, value, source)
        return dataclasses.replace(self, **converted)


def _require_valid(name: str, value: Any, source: str) -> None:
    """UsageError if the value of a setting, of the right type, is out of range."""
    words, is_valid = _RANGES.get(name, ("", None))
    if is_valid and not (math.isfinite(value) and is_valid(value)):
        raise UsageError(f"{name} {value} is out of range", source=source, remedy=f"Give a number {words}.")
    kind = _MEMBERS.get(name)
    if kind and not all(type(member) is kind for member in value):
        raise UsageError(
            f"{name} {list(value)} has members of another type",
            source=source,
            remedy=f"Give a list of {kind.__name__}.",
        )
    if name == "sagittal_pairs" and value not in SAGITTAL_PAIRS:
        known = " or ".join(SAGITTAL_PAIRS)
        raise UsageError(f"sagittal_pairs {value!r} is unknown", source=source, remedy=f"Give {known}.")
    if name == "name" and value and not value.strip():
        raise UsageError("the name is blank", source=source, remedy="Give the name of the bundle to export.")


def _like(default: Any, value: Any, source: str) -> Any:
    """``value`` in the kind of ``default``; UsageError where it is of another."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    if type(default) is not type(value):
        raise UsageError(
            f"{value!r} should be a {type(default).__name__}",
            source=source,
            remedy=f"Its default: {json.dumps(default)}.",
        )
    return value
