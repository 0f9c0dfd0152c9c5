"""The flags that all training commands share: the data, the starting model, the settings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from LandmarkTrainingLib.core.training.training_data import DataFolders

_REPEATABLE: Mapping[str, Any] = {"action": "append", "default": []}
_FOLDER: Mapping[str, Any] = {"type": Path, "metavar": "DIR"}

_FLAGS: Mapping[str, Mapping[str, Any]] = {
    "dataset": {**_REPEATABLE, **_FOLDER, "help": "data set (repeatable)"},
    "validation": {**_FOLDER, "help": "data set for validation only"},
    "labels": {**_FOLDER, "help": "label maps to simulate scouts from"},
    "volumes": {**_FOLDER, "help": "real volumes of split train (heads.csv)"},
    "model": {"metavar": "NAME|DIR", "help": "fine-tune this model instead of training from scratch"},
    "protocol": {
        "metavar": "NAME|FILE",
        "help": "whose landmarks are learnt (default: as --config or --model, else BrainAcPc)",
    },
    "config": {"type": Path, "metavar": "FILE", "help": "JSON with settings that differ from the defaults"},
    "loss-file": {
        "metavar": "FILE.py:FUNCTION",
        "help": "your own loss; the file is code and is executed: only give one that you wrote or read",
    },
    "set": {**_REPEATABLE, "metavar": "NAME=VALUE", "help": "one setting, value as JSON"},
}

#: Flags that name data, and those that name settings.
DATA = ("dataset", "validation", "labels", "volumes")
SETTINGS = ("protocol", "config", "loss-file", "set")


def add_run_arguments(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the flags of these names (``*DATA``, "model", ``*SETTINGS``), each with the same meaning everywhere."""
    for name in names:
        parser.add_argument(f"--{name}", **_FLAGS[name])


def at_least(lowest: int) -> Callable[[str], int]:
    """Type of a flag that takes an integer not below ``lowest``."""

    def integer(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = lowest - 1
        if number < lowest:
            raise argparse.ArgumentTypeError(f"{text} is not an integer of {lowest} or more")
        return number

    return integer


def named_folders(arguments: argparse.Namespace) -> DataFolders:
    """The data that the flags of ``DATA`` name, ``DataFolders()`` if they name none."""
    from LandmarkTrainingLib.core.training.training_data import DataFolders

    return DataFolders(arguments.labels, arguments.volumes, tuple(arguments.dataset), arguments.validation)


def required_folders(arguments: argparse.Namespace) -> DataFolders:
    """Like ``named_folders``; UsageError if the flags name none."""
    from AutoVolumeCalibrationLib.core.errors import UsageError
    from LandmarkTrainingLib.core.training.training_data import NAME_DATA, DataFolders

    folders = named_folders(arguments)
    if folders == DataFolders():
        with flags_named():
            raise UsageError("no training data are named", remedy=NAME_DATA)
    return folders


def chosen_settings(arguments: argparse.Namespace) -> list[str]:
    """The settings of ``--set``, NAME=VALUE, and those of ``--protocol``, whose file is named absolutely, and of
    ``--loss-file``, which is executed."""
    chosen = [*_own_loss(arguments), *arguments.set]
    if not arguments.protocol:
        return chosen
    named = arguments.protocol
    if named.endswith(".json"):
        named = str(Path(named).resolve())
    return [f"protocol={json.dumps(named)}", *chosen]


def _own_loss(arguments: argparse.Namespace) -> list[str]:
    """Execute ``--loss-file``; the setting that makes it the loss, unless other settings say how it is used."""
    if not arguments.loss_file:
        return []
    from LandmarkTrainingLib.core.runs.run_folder import CONFIG_FILE
    from LandmarkTrainingLib.core.training.own_losses.loss_file import use_loss_file

    name, kind = use_loss_file(arguments.loss_file)
    files = [arguments.config] if arguments.config else []
    if getattr(arguments, "resume", False):
        files.append(arguments.output / CONFIG_FILE)
    texts = [*arguments.set, *(file.read_text(encoding="utf-8") for file in files if file.is_file())]
    if any(json.dumps(name) in text for text in texts):
        return []
    setting = "losses" if kind == "heatmap" else "point_losses"
    return [f"{setting}={json.dumps([{'name': name}])}"]


@contextmanager
def flags_named() -> Iterator[None]:
    """Name the flags of the command line in errors of the core, which the window shows too."""
    from AutoVolumeCalibrationLib.core.errors import Cancelled, UsageError
    from LandmarkTrainingLib.core.datasets.image_numbers import NAME_SPLITS
    from LandmarkTrainingLib.core.runs.run_folder import RESUME_OR_OTHER
    from LandmarkTrainingLib.core.training.training_data import NAME_DATA
    from LandmarkTrainingLib.core.training.training_loss import NAME_LOSS_FILE

    flags = {
        NAME_DATA: "Give --dataset, --labels or --volumes.",
        RESUME_OR_OTHER: "Give --resume or another --output.",
        NAME_SPLITS: "Give --train, --watch and --test with the numbers of images.",
        NAME_LOSS_FILE: "Give its file, which is code and is executed, with --loss-file FILE.py:FUNCTION.",
    }
    try:
        yield
    except UsageError as error:
        if error.remedy not in flags:
            raise
        raise UsageError(error.what, source=error.source, remedy=flags[error.remedy]) from error
    except Cancelled as stop:
        raise Cancelled(f"{stop} with --resume") from stop
