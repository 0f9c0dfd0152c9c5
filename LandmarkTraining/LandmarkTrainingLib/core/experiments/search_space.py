"""The search space of a hyper-parameter search, as data: settings of ``TrainingConfig`` with the values to try.

``{"learning_rate": {"low": 1e-4, "high": 1e-2, "log": true}, "batch_size": [4, 8], "options.dropout": [0.0, 0.3]}``:
a list holds values to choose from, an object a range (``low``, ``high``, ``log``, ``step``; integers for integer
settings). A dot leads into a setting that is an object. Settings that depend on each other, such as an
architecture with its options, are objects in the list ``"together"``.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.json_files import read_json

from ..config import TrainingConfig

if TYPE_CHECKING:
    import optuna

#: Name of the list of objects with several settings each.
TOGETHER = "together"

#: Settings that determine the validation data: if they varied, errors could not be compared.
FIXED = ("protocol", "check_heads", "folds", "fold")

_REMEDY = "Give a list of values or an object with low, high and, if wanted, log or step."


@dataclass(frozen=True)
class Choice:
    """One of several values, any that JSON has."""

    values: tuple[Any, ...]

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """A value for a trial; kept as JSON text, because the storage takes no lists or objects."""
        return json.loads(trial.suggest_categorical(name, [json.dumps(value) for value in self.values]))

    def examples(self) -> tuple[Any, ...]:
        return self.values

    def from_storage(self, kept: Any) -> Any:
        """The value that the storage keeps as ``kept``."""
        return json.loads(kept)


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``, both included, drawn on a logarithmic scale or in steps if wanted."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> float:
        """A value for a trial."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def examples(self) -> tuple[float, ...]:
        kind = int if self.whole else float
        return kind(self.low), kind(self.high)

    def from_storage(self, kept: float) -> float:
        """The value that the storage keeps as ``kept``."""
        return kept


@dataclass(frozen=True)
class SearchSpace:
    """Setting (or ``together``, or ``setting.key``) -> the values to try."""

    parts: Mapping[str, Choice | Range]

    def suggest(self, trial: optuna.Trial, base: TrainingConfig) -> TrainingConfig:
        """The settings of a trial: ``base`` with a value drawn for every part."""
        return configured(base, {name: part.suggest(trial, name) for name, part in self.parts.items()})

    def values(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Part -> value of a trial in the storage."""
        return {name: self.parts[name].from_storage(value) for name, value in kept.items()}


def configured(base: TrainingConfig, values: Mapping[str, Any], source: str = "search") -> TrainingConfig:
    """``base`` with one value for each part of a space; UsageError where one is of the wrong kind."""
    config = base.replaced(dict(values.get(TOGETHER, {})), source=source)
    for name, value in values.items():
        if name == TOGETHER:
            continue
        setting, _, key = name.partition(".")
        if key:
            value = {**getattr(config, setting), key: value}
        config = config.replaced({setting: value}, source=source)
    return config


def read_space(path: Path, base: TrainingConfig) -> dict[str, Any]:
    """The content of a space file, checked against ``base``.

    Raises:
        UsageError: naming the file, the setting and what is wrong with it.
    """
    data = read_json(path, UsageError, "Write the settings to vary as a JSON object.")
    space_from_dict(data, base, str(path))
    return data


def space_from_dict(data: Any, base: TrainingConfig, source: str) -> SearchSpace:
    """The space that a JSON object describes; UsageError where a setting or a value does not fit ``base``."""
    if not isinstance(data, dict) or not data:
        raise UsageError("names no setting to vary", source=source, remedy=_REMEDY)
    parts = {name: _part(name, entry, base, source) for name, entry in data.items()}
    for name, part in parts.items():
        for value in part.examples():
            _require_fits(name, value, base, source)
    return SearchSpace(parts)


def _part(name: str, entry: Any, base: TrainingConfig, source: str) -> Choice | Range:
    setting, dot, _ = name.partition(".")
    default = dataclasses.asdict(base).get(setting)
    if dot and not isinstance(default, dict):
        raise UsageError(f"{setting} is not a setting with keys", source=source, remedy="Leave out the dot.")
    if isinstance(entry, list) and entry:
        return Choice(tuple(entry))
    if isinstance(entry, dict):
        return _range(name, entry, default if not dot else None, source)
    raise UsageError(f"{name} has no values to try", source=source, remedy=_REMEDY)


def _range(name: str, entry: dict[str, Any], default: Any, source: str) -> Range:
    def refuse(why: str) -> UsageError:
        return UsageError(f"{name} {why}", source=source, remedy=_REMEDY)

    unknown = sorted(set(entry) - {"low", "high", "log", "step"})
    if unknown:
        raise refuse(f"has the unknown key {unknown[0]}")
    numbers = [entry.get("low"), entry.get("high"), entry.get("step", 1)]
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        raise refuse("needs numbers as low and high")
    if type(entry.get("log", False)) is not bool:
        raise refuse("needs true or false as log")
    made = Range(**entry, whole=not isinstance(default, float) and all(type(number) is int for number in numbers))
    if made.low >= made.high:
        raise refuse(f"has low {made.low:g} above or at high {made.high:g}")
    if made.log and (made.low <= 0 or made.step is not None):
        raise refuse("has a logarithmic scale, which needs low above 0 and no step")
    if made.step is not None and made.step <= 0:
        raise refuse("has a step that is not above 0")
    return made


def _require_fits(name: str, value: Any, base: TrainingConfig, source: str) -> None:
    if name == TOGETHER and not isinstance(value, dict):
        raise UsageError(f"{TOGETHER} holds {value!r}, which is not an object", source=source, remedy=_REMEDY)
    for setting in value if name == TOGETHER else [name]:
        if setting in FIXED:
            raise UsageError(
                f"{setting} determines the validation data and cannot be varied",
                source=source,
                remedy="Set it for all trials instead.",
            )
    configured(base, {name: value}, source)
