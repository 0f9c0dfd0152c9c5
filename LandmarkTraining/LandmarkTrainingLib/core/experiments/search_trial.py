"""The training that a search runs for each trial, and the data of all its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.output_folder import require_place

from ..config import TrainingConfig
from ..runs.run_request import settings_from_text
from ..slices.targets import slice_settings, target_settings
from ..training.starting_point import finetuning_config, starting_network
from ..training.trainer import train
from ..training.training_data import NAME_DATA, DataFolders, load_training_data
from .search import Report, Train

#: File in the search's folder that names its data.
DATA_FILE = "data.json"


def trial_training(folders: DataFolders) -> Train:
    """A training on these data as ``search`` runs it: resumable, reported at every checkpoint, without a bundle."""

    def train_trial(config: TrainingConfig, folder: Path, report: Report) -> float:
        pruned = False

        def watch(step: int, _steps: int, line: Mapping[str, Any]) -> None:
            nonlocal pruned
            pruned = report(step, line["check_median_mm"])

        data = load_training_data(folders, config, load_protocol(config.protocol).constellation)
        network, _ = starting_network(config, data.names, target_settings(config, slice_settings(config)))
        run = train(config, data, folder, network=network, resume=True, progress=watch, cancelled=lambda: pruned)
        return float(run.load()["best"])

    return train_trial


def base_configuration(model: str | None, config_file: Path | None, settings: Sequence[str]) -> TrainingConfig:
    """Settings of all trials: a model's for fine-tuning or the defaults, then those of the file, then single ones.

    Raises:
        UsageError: a setting is unknown or of the wrong kind.
    """
    config = finetuning_config(model) if model else TrainingConfig()
    if config_file:
        config = TrainingConfig.from_json(config_file, config)
    return config.replaced(settings_from_text("\n".join(settings)), source="settings")


def kept_folders(output: Path, folders: DataFolders) -> DataFolders:
    """The data of the search in ``output``: the given ones, which are stored there, or, if empty, the stored ones.

    Raises:
        UsageError: there are none, or they differ from those of the search.
    """
    path = output / DATA_FILE
    kept = DataFolders.read(path) if path.exists() else None
    if folders == DataFolders():
        if kept is None:
            raise UsageError("no training data are named", remedy=NAME_DATA)
        return kept
    given = folders.resolved()
    if kept is None:
        require_place(output, overwrite=True)
        given.write(path)
    elif kept != given:
        raise UsageError("was begun with other data", source=str(path), remedy="Search in another folder.")
    return given
