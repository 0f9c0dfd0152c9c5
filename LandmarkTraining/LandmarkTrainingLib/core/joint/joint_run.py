"""From the data of several anatomies to one network, and a bundle for each anatomy.

A bundle of an anatomy holds the shared weights and those of its own planes: an ordinary bundle of one anatomy, which is
listed, recognised, compared, promoted and rolled back like any other. A single bundle of several anatomies would need
several landmark lists, uncertainties, thresholds and risks in one metadata file, and all that reads them; the price of
two is that the shared 1x1 convolutions lie in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.errors import UsageError

from ..config import TrainingConfig
from ..runs import distributed
from ..runs.run_folder import RunFolder
from ..slices.anatomies import joint_data
from ..slices.batches import TrainingData
from ..training.trainer import Progress, best_network, train
from ..training.training_data import DataFolders
from ..training.training_run import export_network, run_configuration, run_facts, run_training
from .anatomies import Anatomy, anatomy_data, joint_config, read_anatomies

BUNDLES = "bundles"


def run_training_or_joint(
    run_folder: Path,
    folders: DataFolders | None,
    *,
    base: str | None = None,
    config_file: Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    progress: Progress | None = None,
) -> Path:
    """``run_training``, or, where the configuration names ``anatomies``, one training of all of them.

    Args:
        folders, base: of a run of one anatomy; each of several names its own data, and starts from random weights.

    Returns:
        The bundle's folder; of several anatomies the folder of their bundles, ``RUN/bundles``.

    Raises:
        UsageError: the arguments do not suit each other, or the run in the folder.
        Cancelled: the run was stopped; it can be resumed.
    """
    folder = RunFolder(run_folder)
    if not resume:
        folder.require_new()
    config = run_configuration(folder, base, config_file, settings, resume)
    if not config.anatomies:
        return run_training(
            *(run_folder, folders),
            base=base,
            config_file=config_file,
            settings=settings,
            resume=resume,
            progress=progress,
        )
    if folders is not None:
        raise UsageError(
            "the configuration names the data of each anatomy",
            source="anatomies",
            remedy="Name no other data, or leave the setting anatomies out.",
        )
    return _run_joint(folder, config, resume, progress)


def _run_joint(folder: RunFolder, config: TrainingConfig, resume: bool, progress: Progress | None) -> Path:
    anatomies = read_anatomies(config)
    config = joint_config(config, anatomies)
    data = joint_data([anatomy_data(anatomy) for anatomy in anatomies])
    train(config, data, folder.path, resume=resume, progress=progress)
    if distributed.started_rank() == 0:
        _export(folder, config, anatomies, data)
    return folder.path / BUNDLES


def _export(folder: RunFolder, config: TrainingConfig, anatomies: Sequence[Anatomy], data: TrainingData) -> None:
    """Write the bundle of each anatomy from the checkpoint with the lowest mean error over the anatomies."""
    network: Any = best_network(config, folder)
    for number, (anatomy, own) in enumerate(zip(anatomies, data.anatomies, strict=True)):
        together = [other.title for other in anatomies if other is not anatomy]
        facts = {**_facts(folder, config, anatomy, own), "learnt_together_with": together}
        bundle = folder.path / BUNDLES / anatomy.config.name
        export_network(bundle, network.of_anatomy(number), anatomy.config, own, anatomy.protocol, facts)


def _facts(folder: RunFolder, config: TrainingConfig, anatomy: Anatomy, data: TrainingData) -> dict[str, Any]:
    """Training facts of one anatomy; ``slices`` are its own."""
    facts = run_facts(folder, anatomy.config, data)
    return {**facts, "slices": facts["slices"] // len(config.anatomies)}
