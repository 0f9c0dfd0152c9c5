"""From the command's arguments to a trained bundle."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.bundles import load_model
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.protocols import load_protocol

from .batches import TrainingData, target_settings
from .bundle_export import export_bundle
from .checkpoints import load_checkpoint
from .config import TrainingConfig
from .heads import list_heads
from .simulator.label_heads import load_label_heads
from .simulator.render import SliceSettings
from .simulator.volume_heads import load_volume_heads
from .study_calibration import calibrate_on_studies
from .trainer import averaged_network, choose_training_device, train
from .uncertainty_calibration import calibrate_uncertainty


def run_training(
    run_folder: Path,
    labels: Path,
    *,
    volumes: Path | None = None,
    config_file: Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Train (or go on training) in ``run_folder`` and export the bundle; returns the bundle's folder.

    Args:
        labels: folder of label maps; volumes: folder with ``heads.csv``, its split ``train`` is mixed in.
        config_file, settings: what differs from the defaults, and from the run's own configuration on resume.
    """
    config = _configuration(run_folder, config_file, settings, resume)
    if config.volume_fraction and volumes is None:
        raise UsageError("volume_fraction needs volumes", remedy="Give --volumes or set volume_fraction=0.")
    constellation = load_protocol(config.protocol).constellation
    data = TrainingData(
        load_label_heads(labels, config.train_heads, constellation.names),
        load_label_heads(labels, config.check_heads, constellation.names),
        constellation.mirror_indices,
        load_volume_heads(list_heads(volumes, "train"), constellation.names) if volumes else (),
    )
    checkpoint = train(config, data, run_folder, resume=resume, progress=progress)
    return export_run(checkpoint, config, data, run_folder / "bundle")


def export_run(checkpoint: Path, config: TrainingConfig, data: TrainingData, bundle: Path) -> Path:
    """Write the bundle of a checkpoint's averaged network, its uncertainty measured on the check heads.

    Texts for people (model card, licences) that the folder has stay.
    """
    protocol = load_protocol(config.protocol)
    network = averaged_network(config, checkpoint, len(protocol.constellation.names))
    targets = target_settings(config, SliceSettings())
    device = choose_training_device(config.device)
    uncertainty = calibrate_uncertainty(network.to(device), data.check, data.mirror, targets, device)
    facts = _facts(checkpoint, config, data)
    export_bundle(bundle, network.cpu(), config, protocol.constellation, uncertainty, facts, overwrite=True)
    # Whole studies are measured with the bundle as users will run it.
    measured = calibrate_on_studies(load_model(bundle, config.device), data.check, protocol)
    export_bundle(bundle, network.cpu(), config, protocol.constellation, measured, facts, overwrite=True)
    return bundle


def _facts(checkpoint: Path, config: TrainingConfig, data: TrainingData) -> dict[str, Any]:
    """What the metadata tells of the training."""
    steps = load_checkpoint(checkpoint)["step"]
    training = {
        "data": config.training_data,
        "label_maps": len(data.train.tissues),
        "volumes": len(data.volumes),
        "steps": steps,
        "slices": steps * config.batch_size,
        "seed": config.seed,
    }
    return {"training": training}


def _configuration(run_folder: Path, config_file: Path | None, settings: Sequence[str], resume: bool) -> TrainingConfig:
    """The run's own configuration on resume, else the defaults; then the file's and the single settings."""
    own = run_folder / "config.json"
    config = TrainingConfig.from_json(own) if resume and own.exists() else TrainingConfig()
    if config_file:
        config = TrainingConfig.from_json(config_file, config)
    return config.replaced(dict(_setting(text) for text in settings), source="--set")


def _setting(text: str) -> tuple[str, object]:
    """NAME=VALUE with the value as JSON; a word that is no JSON stands for itself."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
