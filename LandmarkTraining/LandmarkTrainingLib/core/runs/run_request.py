"""The user's request for a training, as the arguments of ``autovolume``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.errors import UsageError

from ..config import TrainingConfig
from .recipes import FINETUNE, STUDIES, Recipe

#: Number of folds where there is no validation set: the subjects are split, and one fold is held out.
FOLDS = 5
#: Share of the batches taken from the studies where label maps are used too.
STUDY_FRACTION_BESIDE_LABELS = 0.5


@dataclass(frozen=True)
class RunRequest:
    """A training to be started.

    Attributes:
        run: the folder of the run.
        datasets: data-set folders to learn from; validation: one that is used for validation only.
        labels: folder of label maps, which synthetic scouts are made of.
        subjects: how many people the data sets hold; folds are made of them.
        base: model (name or folder) that a fine-tuning starts from, "" for the current one.
        settings: what differs from the recipe.
        loss_file: FILE.py:FUNCTION of the user's own loss, "" for none; it is executed.
    """

    recipe: Recipe
    run: Path
    datasets: tuple[Path, ...] = ()
    validation: Path | None = None
    labels: Path | None = None
    subjects: int = 0
    base: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    loss_file: str = ""

    def all_settings(self) -> dict[str, Any]:
        """The recipe's settings, those that follow from the data, and the user's, in this order."""
        settings = dict(self.recipe.settings)
        if self.recipe.learns_from == STUDIES:
            if self.labels is not None:
                settings["study_fraction"] = STUDY_FRACTION_BESIDE_LABELS
            if self.validation is None:
                settings["folds"] = FOLDS if self.subjects >= FOLDS else max(0, self.subjects)
                settings["folds"] = settings["folds"] if settings["folds"] > 1 else 0
        return {**settings, **self.settings}

    def arguments(self) -> list[str]:
        """``train`` or ``finetune`` with all flags.

        Raises:
            UsageError: a setting is unknown or of the wrong kind.
        """
        settings = self.all_settings()
        TrainingConfig().replaced(settings, source="settings")
        arguments = [self.recipe.command, "--output", str(self.run)]
        if self.recipe.learns_from == STUDIES:
            arguments += [word for folder in self.datasets for word in ("--dataset", str(folder))]
        for flag, value in (("--validation", self.validation), ("--labels", self.labels)):
            arguments += [flag, str(value)] if value is not None else []
        if self.recipe.command == FINETUNE and self.base:
            arguments += ["--model", self.base]
        arguments += _loss_flag(self.loss_file)
        for name, value in settings.items():
            arguments += ["--set", f"{name}={json.dumps(value)}"]
        return arguments


def resume_arguments(run: Path, loss_file: str = "") -> list[str]:
    """Resume a run from its last checkpoint; the folder holds everything else, except for a loss of the user's own."""
    return ["train", "--output", str(run), "--resume", *_loss_flag(loss_file)]


def _loss_flag(loss_file: str) -> list[str]:
    return ["--loss-file", loss_file] if loss_file else []


def compare_arguments(bundle: Path, dataset: Path, output: Path, *, protocol: str | None, device: str) -> list[str]:
    """Measure the model in use and another one on the same studies.

    Args:
        protocol: None: the one that the studies were planned with.
    """
    paths = ["--dataset", str(dataset), "--output", str(output)]
    named = [] if protocol is None else ["--protocol", protocol]
    return ["compare", "current", str(bundle), *paths, *named, "--device", device]


def settings_from_text(text: str) -> dict[str, Any]:
    """Settings written as NAME=VALUE, one a line; the value is JSON; any other text is taken as a string.

    Raises:
        UsageError: a line has no name or no ``=``.
    """
    settings: dict[str, Any] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not name or not equals:
            raise UsageError(
                f"{line!r} is not NAME=VALUE", source="settings", remedy="Write batch_size=4, for instance."
            )
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings
