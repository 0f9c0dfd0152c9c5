"""Mistakes that are found before PyTorch is loaded, which takes seconds to half a minute on a busy machine."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


def require_sound_flags(arguments: argparse.Namespace) -> None:
    """Check what the shared flags of the training commands name.

    Raises:
        InputError: a folder of data does not exist.
        UsageError: a setting is unknown or of the wrong kind.
    """
    require_folders(_data_of(arguments))
    require_settings(arguments.set)


def require_folders(folders: Iterable[Path]) -> None:
    """InputError that names the first one that does not exist."""
    from AutoVolumeCalibrationLib.core.errors import InputError

    for folder in folders:
        if not folder.is_dir():
            raise InputError("is not a folder", source=str(folder), remedy="Check the path.")


def require_settings(lines: Sequence[str]) -> None:
    """UsageError where a NAME=VALUE of ``--set`` is unknown or of the wrong kind."""
    from ..core.config import TrainingConfig
    from ..core.runs.run_request import settings_from_text

    TrainingConfig().replaced(settings_from_text("\n".join(lines)), source="settings")


def require_sound_run(arguments: argparse.Namespace) -> None:
    """Check the flags of ``train`` and ``finetune``: those shared, and that a run that begins may begin.

    Raises:
        InputError, UsageError: as ``require_sound_flags``; the folder holds a run; nothing can name the data.
    """
    from AutoVolumeCalibrationLib.core.errors import UsageError

    from ..core.runs.run_folder import RunFolder

    require_sound_flags(arguments)
    if arguments.resume:
        return
    if RunFolder(arguments.output).checkpoint.exists():
        remedy = "Give --resume or another --output."
        raise UsageError("holds a run already", source=str(arguments.output), remedy=remedy)
    learns_from = (arguments.labels, arguments.volumes, *arguments.dataset)
    if not (any(learns_from) or arguments.config or arguments.set):
        raise UsageError("no training data are named", remedy="Give --dataset, --labels or --volumes.")


def _data_of(arguments: argparse.Namespace) -> Iterator[Path]:
    """The folders that the flags name; not every command has all of these flags."""
    named = vars(arguments)
    yield from named["dataset"]
    for flag in ("validation", "labels", "volumes"):
        if named.get(flag) is not None:
            yield named[flag]
