"""One training run as data: what the window fills in, the command line reads and the run folder keeps."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.errors import UsageError


@dataclass(frozen=True)
class TrainingConfig:
    """Everything a run depends on besides its data.

    Attributes:
        name: name of the bundle that comes out.
        protocol: protocol whose landmarks are learnt, in its order.
        architecture, options: network of ``core.networks`` (channel counts are filled in).
        train_heads, check_heads: numbers of the label maps to learn from, and to watch the error on.
        volume_fraction: part of the batches cut from real volumes of split ``train`` instead of label maps.
        sigma_mm, tau_mm: width of the targets, and how they fall with the distance from the slice.
        peak_weight: how much more a pixel at a target's peak counts than background.
        learning_rate, weight_decay, warmup_steps, gradient_clip: AdamW with warm-up and cosine decay.
        ema_decay: moving average of the weights; the average is what is exported.
        batch_size, steps: slices per step, and steps in all.
        checkpoint_steps: steps between checkpoints, each with a look at the error on ``check_heads``.
        bf16: bfloat16 arithmetic where the processor has it.
        threads, workers: processor threads of the network, processes that render slices.
        seed: of everything random.
        training_data: what the network learnt from and under which licence, in words, for the bundle's metadata.
    """

    name: str = "brain-scout"
    protocol: str = "BrainAcPc"
    architecture: str = "unet_plus_plus"
    options: dict[str, Any] = field(
        default_factory=lambda: {"features": [24, 32, 64, 128, 128, 32], "stem": 2, "dropout": 0.0}
    )
    train_heads: tuple[int, ...] = tuple(range(1, 19))
    check_heads: tuple[int, ...] = (19, 20)
    volume_fraction: float = 0.0
    sigma_mm: float = 6.0
    tau_mm: float = 12.0
    peak_weight: float = 20.0
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup_steps: int = 200
    gradient_clip: float = 2.0
    ema_decay: float = 0.998
    batch_size: int = 8
    steps: int = 20000
    checkpoint_steps: int = 500
    bf16: bool = True
    threads: int = 1
    workers: int = 1
    device: str = "auto"
    seed: int = 0
    training_data: str = ""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @staticmethod
    def from_json(path: Path, base: TrainingConfig | None = None) -> TrainingConfig:
        """Read a configuration file; what it leaves out is as in ``base``, the defaults when None.

        Raises:
            UsageError: the file is no JSON object, or a setting is unknown or of the wrong kind.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"is no training configuration ({error})", source=str(path)) from error
        # A bundle's configs/train.json keeps the settings beside what MONAI reads.
        settings = values.get("training", values) if isinstance(values, dict) else None
        if not isinstance(settings, dict):
            raise UsageError("is no training configuration (not a JSON object)", source=str(path))
        return (base or TrainingConfig()).replaced(settings, source=str(path))

    def replaced(self, values: dict[str, Any], source: str = "setting") -> TrainingConfig:
        """This configuration with some settings changed, each checked against the kind of its default."""
        defaults = dataclasses.asdict(self)
        unknown = sorted(set(values) - set(defaults))
        if unknown:
            raise UsageError(f"unknown setting {unknown[0]}", source=source, remedy=f"Known: {', '.join(defaults)}.")
        converted = {key: _like(defaults[key], value, f"{source}: {key}") for key, value in values.items()}
        return dataclasses.replace(self, **converted)


def _like(default: Any, value: Any, source: str) -> Any:
    """``value`` in the kind of ``default``; UsageError where it is of another."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    if type(default) is not type(value):
        raise UsageError(f"{value!r} should be a {type(default).__name__}", source=source)
    return value
