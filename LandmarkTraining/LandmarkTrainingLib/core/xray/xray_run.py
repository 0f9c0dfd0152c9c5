"""Train a network on one of the X-ray benchmarks and measure it as the published tables do.

The run's folder is that of any training (``run_folder``), with ``report.md`` and ``measured.json`` (``xray_report``)
instead of a bundle: such a network finds nothing in scouts. ``data.json`` describes the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json
from AutoVolumeCalibrationLib.core.networks.registry import find_architecture

from ..config import TrainingConfig
from ..runs import distributed
from ..runs.run_folder import RunFolder
from ..runs.run_request import settings_from_text
from ..slices.batches import TrainingData
from ..slices.sources import part_of
from ..slices.targets import target_settings
from ..training.learner import network_options
from ..training.starting_point import starting_network
from ..training.trainer import Progress, best_network, choose_training_device, train
from .xray_published import BENCHMARKS, MATRIX, TRAINING, VALIDATION, Benchmark, read_split, settings_of
from .xray_report import Part, measures, report, together
from .xray_source import XrayImages, grid, images_on_grid, no_mirror, radial_errors, random_xrays

#: Largest number of validation images: their heatmaps are in memory together.
VALIDATED = 20


@dataclass(frozen=True)
class XrayData:
    """The data of a run.

    Attributes:
        benchmark: one of BENCHMARKS.
        folder: of the images, in the published layout.
        matrix: pixels per side of the grid.
        annotator: of the points, if the set has several, else "".
    """

    benchmark: str
    folder: str
    matrix: int = MATRIX
    annotator: str = ""


def run_xray(
    run_folder: Path,
    benchmark_name: str,
    images: Path,
    *,
    method: str = "gu2net",
    matrix: int | None = None,
    annotator: str | None = None,
    config_file: Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    progress: Progress | None = None,
) -> str:
    """Train (or go on training) and measure; returns the report. On a finished run it only measures again.

    Args:
        images: folder of the data set.
        method: recipe whose settings a new run starts from, of ``xray_published.METHODS``.
        matrix: pixels per side of the grid; as published when None, on resume as before.
        annotator: of the cephalometric images: "senior" (default), "junior" or "mean"; on resume as before.
        config_file, settings: what differs from the recipe, and from the run's own configuration on resume.

    Raises:
        InputError: the images are missing or not readable.
        UsageError: the arguments do not suit each other, or the run in the folder.
        Cancelled: the run was stopped; it can be resumed.
    """
    folder, benchmark = RunFolder(run_folder), BENCHMARKS[benchmark_name]
    if not resume:
        folder.require_new()
    data = _data(folder, benchmark, images, matrix, annotator, resume)
    config = _configuration(folder, benchmark, method, config_file, settings, resume)
    _require_fitting(config, data.matrix)
    # All are read before the training, so that missing images do not show up hours later.
    read = {part: _images(data, benchmark, part) for part in (TRAINING, VALIDATION, *benchmark.tests)}
    training = _training_data(read[TRAINING], read[VALIDATION], config)
    slices = grid(data.matrix)
    network = None  # its weights come from the checkpoint
    if not folder.checkpoint.exists():
        network, _ = starting_network(config, training.names, target_settings(config, slices))

    def keep_data() -> None:
        write_text(folder.data, json_text(asdict(data)))

    train(
        *(config, training, run_folder),
        network=network,
        slices=slices,
        resume=resume,
        begun=keep_data,
        progress=progress,
    )
    if distributed.started_rank() != 0:
        return ""
    measured = _measured(folder, config, data, {split: read[split] for split in benchmark.tests})
    text = report(measured, benchmark)
    write_text(run_folder / "measured.json", json_text(measured))
    write_text(run_folder / "report.md", text)
    return text


def _data(
    folder: RunFolder, benchmark: Benchmark, images: Path, matrix: int | None, annotator: str | None, resume: bool
) -> XrayData:
    several = benchmark.name == "cephalometric"
    if annotator and not several:
        raise UsageError(f"the {benchmark.name} images have one annotator", remedy="Do not name an annotator.")
    resumed = resume and folder.data.exists()
    begun = _read_data(folder.data) if resumed else XrayData("", "", annotator="senior" if several else "")
    data = XrayData(
        benchmark.name,
        str(images),
        begun.matrix if matrix is None else matrix,
        annotator or begun.annotator,
    )
    if resumed and replace(begun, folder=data.folder) != data:
        raise UsageError(
            f"was begun on other data ({begun.benchmark}, matrix {begun.matrix}, {begun.annotator or 'one annotator'})",
            source=str(folder.path),
            remedy="Name the same data, or another output folder.",
        )
    return data


def _read_data(path: Path) -> XrayData:
    remedy = "Start again in another output folder."
    values = read_json(path, UsageError, remedy)
    try:
        return XrayData(**values)
    except TypeError as error:
        raise UsageError("does not describe an X-ray run", source=str(path), remedy=remedy) from error


def _configuration(
    folder: RunFolder,
    benchmark: Benchmark,
    method: str,
    config_file: Path | None,
    settings: Sequence[str],
    resume: bool,
) -> TrainingConfig:
    begun = resume and folder.config.exists()
    config = TrainingConfig.from_json(folder.config) if begun else settings_of(method, benchmark)
    if config_file:
        config = TrainingConfig.from_json(config_file, config)
    return config.replaced(settings_from_text("\n".join(settings)), source="settings")


def _images(data: XrayData, benchmark: Benchmark, part: str) -> XrayImages:
    try:
        radiographs = read_split(benchmark, Path(data.folder), part, data.annotator)
        return images_on_grid(radiographs, data.matrix, benchmark.plane)
    except InputError as error:
        if error.source:
            raise
        raise InputError(f"{error.what} of split {part}", source=data.folder, remedy="Unpack the whole set.") from error


def _training_data(training_images: XrayImages, validation: XrayImages, config: TrainingConfig) -> TrainingData:
    chosen = torch.linspace(0, len(validation) - 1, min(len(validation), VALIDATED)).round().long()
    source = random_xrays(training_images, config.augmentation)
    return TrainingData(
        training_images.landmarks, no_mirror(training_images), source, part_of(validation.slices, chosen)
    )


def _require_fitting(config: TrainingConfig, matrix: int) -> None:
    """UsageError where the network cannot take the grid."""
    options = network_options(config, 1, target_settings(config, grid(matrix)))
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
    folder: RunFolder, config: TrainingConfig, data: XrayData, tests: dict[str, XrayImages]
) -> dict[str, Any]:
    benchmark, slices = BENCHMARKS[data.benchmark], grid(data.matrix)
    device = choose_training_device(config.device)
    network, targets = best_network(config, folder, slices).to(device), target_settings(config, slices)
    parts = {
        name: Part(images.names, images.landmarks, radial_errors(network, images, targets, device))
        for name, images in tests.items()
    }
    return {
        "benchmark": data.benchmark,
        "annotator": data.annotator or None,
        "unit": benchmark.unit,
        "matrix": data.matrix,
        "architecture": config.architecture,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "step": folder.best_weights()["step"],
        "parts": {name: measures(part, benchmark) for name, part in together(parts).items()},
    }
