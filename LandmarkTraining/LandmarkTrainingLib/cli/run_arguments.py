"""The flags that every command with a training has in common: the data, the starting model, the settings."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from LandmarkTrainingLib.core.training.training_data import DataFolders

_REPEATABLE: Mapping[str, Any] = {"action": "append", "default": []}
_FOLDER: Mapping[str, Any] = {"type": Path, "metavar": "DIR"}

_FLAGS: Mapping[str, Mapping[str, Any]] = {
    "dataset": {**_REPEATABLE, **_FOLDER, "help": "data set (repeatable)"},
    "validation": {**_FOLDER, "help": "data set to watch the error on, never learnt"},
    "labels": {**_FOLDER, "help": "label maps to simulate scouts from"},
    "volumes": {**_FOLDER, "help": "real volumes of split train (heads.csv)"},
    "model": {"metavar": "NAME|DIR", "help": "fine-tune this model instead of training from scratch"},
    "config": {"type": Path, "metavar": "FILE", "help": "JSON with settings that differ from the defaults"},
    "set": {**_REPEATABLE, "metavar": "NAME=VALUE", "help": "one setting, value as JSON"},
}

#: Flags that name data, and those that name settings.
DATA = ("dataset", "validation", "labels", "volumes")
SETTINGS = ("config", "set")


def add_run_arguments(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the flags of these names (``*DATA``, "model", ``*SETTINGS``), each with the same meaning everywhere."""
    for name in names:
        parser.add_argument(f"--{name}", **_FLAGS[name])


def at_least(lowest: int) -> Callable[[str], int]:
    """Type of a flag that takes a whole number not below ``lowest``."""

    def whole_number(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = lowest - 1
        if number < lowest:
            raise argparse.ArgumentTypeError(f"{text} is no whole number of {lowest} or more")
        return number

    return whole_number


def named_folders(arguments: argparse.Namespace) -> DataFolders:
    """The data that the flags of ``DATA`` name, ``DataFolders()`` where they name none."""
    from LandmarkTrainingLib.core.training.training_data import DataFolders

    return DataFolders(arguments.labels, arguments.volumes, tuple(arguments.dataset), arguments.validation)
