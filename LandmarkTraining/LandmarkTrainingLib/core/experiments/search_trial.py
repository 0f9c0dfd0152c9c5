"""The training that a search runs for each trial, and the data that all its trials learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.output_folder import require_place

from ..config import TrainingConfig
from ..runs.run_request import settings_from_text
from ..simulator.slice_planes import SliceSettings
from ..slices.targets import target_settings
from ..training.starting_point import finetuning_config, starting_network
from ..training.trainer import train
from ..training.training_data import DataFolders, load_training_data
from .search import Report, Train

#: File in the search's folder that names its data.
DATA_FILE = "data.json"


def trial_training(folders: DataFolders) -> Train:
    """A training on these data as ``search`` runs it: resumed where it was, watched at every checkpoint, no bundle."""

    def train_trial(config: TrainingConfig, folder: Path, report: Report) -> float:
        hopeless = False

        def watch(step: int, _steps: int, line: Mapping[str, Any]) -> None:
            nonlocal hopeless
            hopeless = report(step, line["check_median_mm"])

        data = load_training_data(folders, config, load_protocol(config.protocol).constellation)
        network, _ = starting_network(config, data.names, target_settings(config, SliceSettings()))
        run = train(config, data, folder, network=network, resume=True, progress=watch, cancelled=lambda: hopeless)
        return float(run.load()["best"])

    return train_trial


def base_configuration(model: str | None, config_file: Path | None, settings: Sequence[str]) -> TrainingConfig:
    """What all trials share: a model's settings for fine-tuning or the defaults, then the file's and single ones.

    Raises:
        UsageError: a setting is unknown or of the wrong kind.
    """
    config = finetuning_config(model) if model else TrainingConfig()
    if config_file:
        config = TrainingConfig.from_json(config_file, config)
    return config.replaced(settings_from_text("\n".join(settings)), source="--set")


def kept_folders(output: Path, folders: DataFolders) -> DataFolders:
    """The data of the search in ``output``: the given ones, which are kept there, or, where none are, those kept.

    Raises:
        UsageError: there are none, or others than the search began with.
    """
    path = output / DATA_FILE
    kept = DataFolders.read(path) if path.exists() else None
    if folders == DataFolders():
        if kept is None:
            raise UsageError("there is nothing to learn from", remedy="Give --dataset, --labels or --volumes.")
        return kept
    given = folders.resolved()
    if kept is None:
        require_place(output, overwrite=True)
        given.write(path)
    elif kept != given:
        raise UsageError("was begun with other data", source=str(path), remedy="Search in another folder.")
    return given
