"""From data and settings to a trained bundle."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import (
    PeakUncertainty,
    default_uncertainty,
    uncertainty_from_dict,
)
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.models.bundle import load_model, read_metadata
from AutoVolumeCalibrationLib.core.models.store import model_folder
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR

from ..config import TrainingConfig
from ..coverage.risk.measurement import FEWEST_PEOPLE, measure_risk
from ..coverage.risk.studies import StudySource
from ..datasets.anatomy_fit import require_fit
from ..datasets.check import check_dataset
from ..evaluation.study_calibration import calibrate_on_studies
from ..evaluation.uncertainty_calibration import calibrate_uncertainty
from ..export.bundle_facts import ASSUMED, EVIDENCE, anatomy_facts, carry_protocol, default_bundle_name, measured_on
from ..export.onnx_graph import add_graph, missing_packages
from ..runs import distributed
from ..runs.run_folder import RunFolder
from ..runs.run_request import settings_from_text
from ..simulator.label_heads import LabelHeads
from ..slices.batches import TrainingData
from ..slices.targets import slice_settings, target_settings
from .bundle_export import export_bundle, record_risk
from .starting_point import finetuning_config, starting_network
from .trainer import Progress, best_network, choose_training_device, train
from .training_data import NAME_DATA, DataFolders, load_training_data

logger = logging.getLogger(__name__)


def run_training(
    run_folder: Path,
    folders: DataFolders | None,
    *,
    base: str | None = None,
    config_file: Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Train (or go on training) in ``run_folder`` and export the bundle; returns the bundle's folder.

    Args:
        folders: the data; None on resume: those of the run.
        base: bundle to fine-tune, the settings then start from ``finetuning_config``.
        config_file, settings: what differs from the defaults, and from the run's own configuration on resume.

    Raises:
        Cancelled: the run was stopped; it can be resumed.
    """
    folder = RunFolder(run_folder)
    if not resume:
        folder.require_new()
    config = run_configuration(folder, base, config_file, settings, resume)
    folders = _data_folders(folder, folders, resume)
    protocol = load_protocol(config.protocol)
    for data_set in (*folders.datasets, *([folders.validation] if folders.validation else [])):
        require_fit(data_set, protocol)
    data = load_training_data(folders, config, protocol.constellation)
    _require_measurable_risk(config, data)
    network = report = None  # a resumed run loads its weights from the checkpoint
    if not folder.checkpoint.exists():
        _log_errors_of(folders, protocol)
        network, report = starting_network(config, data.names, target_settings(config, slice_settings(config)))

    def keep_start() -> None:
        folders.write(folder.data)
        if report:
            logger.info("%s", report.summary())
            write_text(run_folder / "transfer.txt", report.summary() + "\n")

    train(config, data, run_folder, network=network, resume=resume, begun=keep_start, progress=progress)
    if distributed.started_rank() == 0:
        export_run(folder, config, data, protocol)
    return folder.bundle


def export_run(folder: RunFolder, config: TrainingConfig, data: TrainingData, protocol: Protocol) -> Path:
    """Write the bundle of a run's best checkpoint; existing texts (model card, licences) are kept.

    The errors of its peaks are measured on held-out label maps. A run without label maps keeps the uncertainty of its
    base, or a conservative default.
    """
    export_network(folder.bundle, best_network(config, folder), config, data, protocol, run_facts(folder, config, data))
    return folder.bundle


def export_network(
    bundle: Path,
    network: torch.nn.Module,
    config: TrainingConfig,
    data: TrainingData,
    protocol: Protocol,
    training: Mapping[str, Any],
) -> None:
    """Write the bundle of a trained network, measured like that of a run; ``training`` says how it was trained."""
    targets = target_settings(config, slice_settings(config))
    facts = {**anatomy_facts(protocol, config.architecture), "training": training}
    public = _without_paths(config)

    def export(uncertainty: PeakUncertainty, evidence: str) -> None:
        stated = {**facts, EVIDENCE: {"uncertainty": evidence}}
        export_bundle(bundle, network, public, protocol.constellation, uncertainty, stated, overwrite=True)
        carry_protocol(bundle, protocol)

    if data.check_heads is None:
        export(*_stated_uncertainty(config, data.names))
        _add_graph(bundle)
        return
    device = choose_training_device(config.device)
    logger.info("Measuring how uncertain the landmarks are, on label maps for validation. This takes minutes.")
    measured = calibrate_uncertainty(network.to(device), data.check_heads, data.mirror, targets, device)
    is_default = np.array_equal(measured.base_mm, default_uncertainty(len(data.names)).base_mm)
    evidence = ASSUMED if is_default else measured_on(len(data.check_heads.tissues), "label maps")
    export(measured, evidence)
    # Whole studies are measured with the bundle as users will run it.
    network.cpu()
    export(calibrate_on_studies(load_model(bundle, config.device), data.check_heads, protocol), evidence)
    _add_graph(bundle)
    if config.risk_studies:
        _add_risk(bundle, config, data.check_heads, protocol)


def _add_risk(bundle: Path, config: TrainingConfig, heads: LabelHeads, protocol: Protocol) -> None:
    """Add how probable it is that a plan is wrong, or log why it is not known: the bundle is complete without it."""
    model = load_model(bundle, config.device)
    source = StudySource(heads, heads.people, [], protocol, protocol.boxes[0])
    logger.info("Measuring how probable a wrong plan is, on %d studies: seconds for each.", config.risk_studies)
    plans = bundle.parent / f"risk_{model.sha256[:8]}"
    plans.mkdir(exist_ok=True)
    try:
        fitted, _ = measure_risk(model, source, plans, config.risk_studies)
    except InputError as error:
        logger.warning("%s states no risk of its plans: %s", bundle, error)
    else:
        record_risk(bundle, fitted.model, fitted.limits, model.sha256)


def _require_measurable_risk(config: TrainingConfig, data: TrainingData) -> None:
    """Refuse, before hours of training, a risk that cannot be measured at their end.

    Raises:
        UsageError: without label maps of several people that the run does not learn from.
    """
    people = set(data.check_heads.people) if data.check_heads else set()
    if config.risk_studies and len(people) < FEWEST_PEOPLE:
        what = "those for validation are of one person" if people else "this run has none"
        raise UsageError(
            f"risk_studies needs label maps of several people to simulate studies from, {what}",
            source="settings",
            remedy="Set risk_studies to 0; autovolume risk --labels measures it later.",
        )


def _add_graph(bundle: Path) -> None:
    """Add the ONNX graph, or log why there is none: the bundle is complete without it."""
    if missing := missing_packages():
        reason = f"{' and '.join(missing)} not installed; export-onnx adds it later"
    else:
        reason = add_graph(bundle)
    if reason:
        logger.warning("%s holds no ONNX graph (%s): planning with it needs PyTorch.", bundle, reason)


def _log_errors_of(folders: DataFolders, protocol: Protocol) -> None:
    """Log the errors of the data check: a network would learn them."""
    for folder in folders.datasets:
        errors = [finding for finding in check_dataset(folder, protocol) if finding.level == ERROR]
        if errors:
            first = f"{errors[0].study}: {errors[0].message}"
            logger.warning("%s: %d errors, such as %s. Check the data set.", folder, len(errors), first)


def _without_paths(config: TrainingConfig) -> TrainingConfig:
    """The settings as published in a bundle: models and files by name, without folders of this computer."""
    base = _base_facts(config)
    weights = Path(config.encoder_weights).name
    protocol = Path(config.protocol).stem
    return replace(config, base=base["name"] if base else "", encoder_weights=weights, protocol=protocol)


def _stated_uncertainty(config: TrainingConfig, names: Sequence[str]) -> tuple[PeakUncertainty, str]:
    """The uncertainty of a model that was not measured, and where it comes from."""
    if config.base:
        folder = model_folder(config.base)
        metadata = read_metadata(folder)
        if [entry["name"] for entry in metadata["landmarks"]] == list(names):
            return uncertainty_from_dict(metadata["uncertainty"], len(names), str(folder)), (
                f"{ASSUMED}: that of {metadata['name']}"
            )
    return default_uncertainty(len(names)), ASSUMED


def run_facts(folder: RunFolder, config: TrainingConfig, data: TrainingData) -> dict[str, Any]:
    """Training facts for the metadata."""
    steps = folder.best_weights()["step"]
    return {
        "data": config.training_data,
        **data.facts,
        "base": _base_facts(config),
        "steps": steps,
        "slices": steps * config.batch_size * config.accumulation,
        "seed": config.seed,
    }


def _base_facts(config: TrainingConfig) -> Mapping[str, str] | None:
    if not config.base:
        return None
    metadata = read_metadata(model_folder(config.base))
    return {"name": metadata["name"], "sha256": metadata["weights"]["sha256"]}


def run_configuration(
    folder: RunFolder, base: str | None, config_file: Path | None, settings: Sequence[str], resume: bool
) -> TrainingConfig:
    """The run's own configuration on resume, the base's when fine-tuning, else the defaults; then file and settings."""
    chosen = settings_from_text("\n".join(settings))
    if not str(chosen.get("name", "bundle")).strip():
        # No name at all means that of the anatomy; an empty one is a slip.
        raise UsageError("the name is blank", source="settings", remedy="Give the name of the bundle to export.")
    if resume and folder.config.exists():
        config = TrainingConfig.from_json(folder.config)
    elif base:
        protocol = named_protocol(config_file, chosen) or TrainingConfig().protocol
        config = finetuning_config(base, load_protocol(protocol))
    else:
        config = TrainingConfig()
    if config_file:
        config = TrainingConfig.from_json(config_file, config)
    config = config.replaced(chosen, source="settings")
    return config if config.name else replace(config, name=default_bundle_name(load_protocol(config.protocol)))


def named_protocol(config_file: Path | None, chosen: Mapping[str, Any]) -> str | None:
    """The protocol that file or settings name, whose landmarks a fine-tuning is to learn; None where neither does.

    Raises:
        UsageError: a setting is unknown or of the wrong kind.
    """
    unnamed = TrainingConfig().replaced({"protocol": ""}, source="settings")
    config = TrainingConfig.from_json(config_file, unnamed) if config_file else unnamed
    return config.replaced(dict(chosen), source="settings").protocol or None


def _data_folders(folder: RunFolder, folders: DataFolders | None, resume: bool) -> DataFolders:
    if folders is None:
        if not (resume and folder.data.exists()):
            raise UsageError(
                "no training data are named",
                source=str(folder.path) if resume else None,
                remedy=NAME_DATA,
            )
        return DataFolders.read(folder.data)
    with suppress(UsageError):  # naming the data again repairs a damaged file
        if resume and folder.data.exists() and DataFolders.read(folder.data) != folders.resolved():
            logger.warning("the run goes on with other data than it began with")
    return folders
