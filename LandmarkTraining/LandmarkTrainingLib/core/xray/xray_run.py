"""Train a network on X-ray sets and measure it as the published tables do.

The run's folder is that of any training (``run_folder``), with ``report.md`` and ``measured.json`` (``xray_report``)
instead of a bundle: such a network finds nothing in scouts. ``data.json`` describes the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.networks.registry import find_architecture

from ..config import TrainingConfig
from ..joint.anatomies import with_landmarks
from ..runs import distributed
from ..runs.run_folder import RunFolder
from ..runs.run_request import settings_from_text
from ..slices.anatomies import each_anatomy, joint_data
from ..slices.batches import TrainingData
from ..slices.sources import part_of
from ..slices.targets import TargetSettings, target_settings
from ..training.learner import network_options
from ..training.starting_point import starting_network
from ..training.trainer import Progress, best_network, choose_training_device, train
from .xray_data import XrayData, XrayRequest, data_text, read_data, read_images, requested_data
from .xray_published import TRAINING, VALIDATION, settings_of
from .xray_report import Part, measures, report, together
from .xray_source import XrayImages, grid, no_mirror, point_errors, random_xrays

#: Largest number of validation images: their heatmaps are in memory together.
VALIDATED = 20

#: Split -> images of a set.
_Images = Mapping[str, XrayImages]


def run_xray(
    run_folder: Path,
    benchmark_name: str,
    images: Path,
    *,
    annotator: str | None = None,
    splits: Mapping[str, str] | None = None,
    suffix: str = "",
    **more: Any,
) -> str:
    """Train on one set and measure; returns the report.

    Args:
        benchmark_name: one of ``xray_published.SETS``.
        images: folder of the data set.
        annotator: of cephalometric images "senior" (default), "junior" or "mean", of labelme's a reader or "mean"
            (default); on resume as before.
        splits: ``{"train": "1-90", "watch": "91-100", "test": "101-"}``, numbers of the images
            (``datasets.image_numbers``); the published splits when None, on resume as before.
        suffix: of the images; that of the published set when empty.
        more: of ``run_sets``.
    """
    return run_sets(run_folder, [XrayRequest(benchmark_name, images, annotator, splits or {}, suffix)], **more)


def run_sets(
    run_folder: Path,
    requests: Sequence[XrayRequest],
    *,
    method: str = "gu2net",
    matrix: int | None = None,
    config_file: Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    progress: Progress | None = None,
) -> str:
    """Train (or go on training) and measure; returns the report. On a finished run it only measures again.

    Several sets are learnt by one network (``gu2net``, Zhu et al. 2021), in batches of one set each, drawn in
    proportion to the number of training images.

    Args:
        method: recipe whose settings a new run starts from, of ``xray_published.METHODS``.
        matrix: pixels per side of the grid; as published when None, on resume as before.
        config_file, settings: what differs from the recipe, and from the run's own configuration on resume.

    Raises:
        InputError: the images are missing or not readable.
        UsageError: the arguments do not suit each other, or the run in the folder.
        Cancelled: the run was stopped; it can be resumed.
    """
    folder = RunFolder(run_folder)
    if not resume:
        folder.require_new()
    begun = read_data(folder.data) if resume and folder.data.exists() else None
    data = requested_data(requests, matrix, begun, run_folder)

    def configuration(learnt: Sequence[int | None]) -> TrainingConfig:
        own = TrainingConfig.from_json(folder.config) if begun and folder.config.exists() else None
        config = own or _settings_of_sets(method, data, learnt)
        config = TrainingConfig.from_json(config_file, config) if config_file else config
        return config.replaced(settings_from_text("\n".join(settings)), source="settings")

    _require_fitting(configuration([None] * len(data)), data[0].matrix)
    # All are read before the training, so that missing images do not show up hours later.
    read = [{part: read_images(each, part) for part in (TRAINING, VALIDATION, *each.tests)} for each in data]
    config = configuration([len(r[TRAINING]) if each.splits else None for each, r in zip(data, read, strict=True)])
    config, training = _training(config, data, read)
    slices, network = grid(data[0].matrix), None  # a resumed run's weights come from the checkpoint
    if not folder.checkpoint.exists():
        network, _ = starting_network(config, training.names, target_settings(config, slices))
    train(
        *(config, training, run_folder),
        network=network,
        slices=slices,
        resume=resume,
        begun=lambda: write_text(folder.data, data_text(data)),
        progress=progress,
    )
    if distributed.started_rank() != 0:
        return ""
    measured = _measured(folder, config, data, read, training)
    write_text(run_folder / "measured.json", json_text(measured[0] if len(data) == 1 else {"together": measured}))
    text = "\n".join(report(values, each.definition) for values, each in zip(measured, data, strict=True))
    write_text(run_folder / "report.md", text)
    return text


def _settings_of_sets(method: str, data: Sequence[XrayData], learnt: Sequence[int | None]) -> TrainingConfig:
    """The recipe's settings; of several sets the steps of all together, so that each is seen as often as alone."""
    alone = [settings_of(method, each.definition, count) for each, count in zip(data, learnt, strict=True)]
    name = "-".join([*(each.benchmark for each in data), method])
    return replace(alone[0], name=name, steps=sum(config.steps for config in alone))


def _training(
    config: TrainingConfig, data: Sequence[XrayData], read: Sequence[_Images]
) -> tuple[TrainingConfig, TrainingData]:
    """Configuration and data of the run, of one set or several."""
    parts = [
        replace(_training_data(images[TRAINING], images[VALIDATION], config), title=each.benchmark if read[1:] else "")
        for each, images in zip(data, read, strict=True)
    ]
    if len(parts) == 1:
        return config, parts[0]
    counts = np.array([len(images[TRAINING]) for images in read])
    return with_landmarks(config, [len(part.names) for part in parts]), joint_data(parts, counts / counts.sum())


def _training_data(training_images: XrayImages, validation: XrayImages, config: TrainingConfig) -> TrainingData:
    chosen = torch.linspace(0, len(validation) - 1, min(len(validation), VALIDATED)).round().long()
    source = random_xrays(training_images, config.augmentation)
    return TrainingData(
        training_images.landmarks, no_mirror(training_images), source, part_of(validation.slices, chosen)
    )


def _require_fitting(config: TrainingConfig, matrix: int) -> None:
    """UsageError where the network cannot take the grid."""
    # How many landmarks each anatomy has is known once the images are read.
    options = {**network_options(config, 1, target_settings(config, grid(matrix)))}
    try:
        divisor = find_architecture(config.architecture, options).divisor(options)
    except KeyError as error:
        raise UsageError(f"{config.architecture} lacks the option {error}", remedy="Set it in options.") from error
    if matrix < 1 or matrix % divisor:
        raise UsageError(
            f"a grid of {matrix} pixels does not suit {config.architecture}",
            source="matrix",
            remedy=f"Give a multiple of {divisor}.",
        )


def _measured(
    folder: RunFolder, config: TrainingConfig, data: Sequence[XrayData], read: Sequence[_Images], training: TrainingData
) -> list[dict[str, Any]]:
    """``measured.json`` of each set."""
    slices, device = grid(data[0].matrix), choose_training_device(config.device)
    network, targets = best_network(config, folder, slices).to(device), target_settings(config, slices)
    facts = {
        "architecture": config.architecture,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "step": folder.best_weights()["step"],
    }
    results = []
    for each, images, (own, _) in zip(data, read, each_anatomy(network, training), strict=True):
        parts = {name: _part(own.eval(), images[name], targets, device) for name in each.tests}
        measured = {name: measures(part, each.definition) for name, part in together(parts).items()}
        about = {"benchmark": each.benchmark, "annotator": each.annotator or None, "unit": each.definition.unit}
        results.append({**about, "matrix": each.matrix, **facts, "parts": measured})
    return results


def _part(network: torch.nn.Module, images: XrayImages, targets: TargetSettings, device: torch.device) -> Part:
    """The errors of a network on the images of a split."""
    errors = point_errors(network, images, targets, device)
    return Part(images.names, images.landmarks, errors.own, errors.pixels, errors.peaks, images.readers_apart)
