"""Start a training from a bundle: its settings, and its weights as far as they fit."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import MIDDLE
from AutoVolumeCalibrationLib.core.models.bundle import read_metadata, read_weights
from AutoVolumeCalibrationLib.core.models.store import bundle_anatomy, model_folder

from ..config import TrainingConfig
from ..slices.targets import TargetSettings
from .initial_weights.encoder_weights import pretrain_encoder
from .landmark_axes import LandmarkChange, landmark_axes
from .learner import fresh_network, landmark_network
from .transfer import TransferReport, transfer_weights

logger = logging.getLogger(__name__)

#: What differs in the settings where most of the landmarks are new to the network: its last layers start anew.
NEW_LANDMARKS = {"learning_rate": 1e-3, "steps": 2000, "checkpoint_steps": 100, "warmup_steps": 50}

#: Options that follow from the data.
_FILLED_IN = ("in_channels", "out_channels", "sigma")


def finetuning_config(base: str | Path, protocol: Protocol | None = None) -> TrainingConfig:
    """Settings to fine-tune a bundle on few cases: its own network and targets, small steps, early stopping.

    Args:
        protocol: whose landmarks are to be learnt; more and larger steps where the bundle knows less than half of
            them, and no name where it is a bundle of another anatomy. None: its own.
    """
    folder = model_folder(base)
    metadata = read_metadata(folder)
    network, targets = metadata["network"], metadata["targets"]
    options = {key: value for key, value in network["options"].items() if key not in _FILLED_IN}
    known = {entry["name"] for entry in metadata["landmarks"]}
    names = protocol.constellation.names if protocol else ()
    is_new = 2 * len(known & set(names)) < len(names)
    # A part of the base's anatomy has landmarks that it knows, and is another anatomy all the same.
    is_other = is_new or (protocol is not None and protocol.anatomy not in ("", bundle_anatomy(folder)))
    return TrainingConfig().replaced(
        {
            # Another anatomy's model gets the name of its own anatomy.
            "name": "" if is_other else f"{metadata['name']}-tuned",
            "base": str(base),
            "architecture": network["architecture"],
            "options": options,
            "sigma_mm": targets["sigma_mm"],
            "tau_mm": targets["tau_mm"],
            "sagittal_pairs": targets.get("sagittal_pairs", MIDDLE),
            "learning_rate": 2e-4,
            "warmup_steps": 20,
            "steps": 400,
            "checkpoint_steps": 25,
            "picture_steps": 100,
            "patience": 8,
            "ema_decay": 0.98,
            "folds": 5,
            **(NEW_LANDMARKS if is_new else {}),
        },
        source=str(folder),
    )


def starting_network(
    config: TrainingConfig, names: tuple[str, ...], targets: TargetSettings
) -> tuple[torch.nn.Module, TransferReport | None]:
    """The run's network: fresh, or with the matching weights of ``config.base`` and a report of the transfer.

    Raises:
        ModelError: the bundle does not exist, or it or the encoder's weights are damaged.
    """
    network = fresh_network(config, len(names), targets)
    if config.encoder_weights:
        logger.info("%s", pretrain_encoder(network, config.encoder_weights))
    if not config.base:
        return network, None
    folder = model_folder(config.base)
    metadata = read_metadata(folder)
    weights = read_weights(folder, metadata["weights"])
    old_names = tuple(entry["name"] for entry in metadata["landmarks"])
    return network, transfer_weights(network, weights, _landmark_change(config, names, old_names))


def _landmark_change(
    config: TrainingConfig, names: tuple[str, ...], old_names: tuple[str, ...]
) -> LandmarkChange | None:
    """How the landmarks differ; None where they are the same."""
    if names == old_names:
        return None
    # An order of landmarks suits one number of landmarks only, and no weight depends on it.
    options = {key: value for key, value in config.options.items() if key != "order"}
    without_order = replace(config, options=options)
    return LandmarkChange(
        names, old_names, landmark_axes(lambda count: landmark_network(without_order, count), len(names))
    )
