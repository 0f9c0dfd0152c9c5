"""The anatomies of a run that learns several, from the setting ``anatomies`` of its configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import ModelError, UsageError
from AutoVolumeCalibrationLib.core.networks.registry import build_network

from ..config import TrainingConfig
from ..datasets.anatomy_fit import require_fit
from ..export.bundle_facts import default_bundle_name
from ..slices.batches import TrainingData
from ..training.learner import network_options
from ..training.training_data import DataFolders, load_training_data

#: Keys of an anatomy that name folders, and those that are settings of the run for this anatomy alone.
FOLDERS = ("labels", "volumes", "datasets", "validation")
SETTINGS = ("protocol", "name", "train_heads", "check_heads", "training_data")

_REMEDY = 'Write {"protocol": ..., "labels": ...} for each.'


@dataclass(frozen=True)
class Anatomy:
    """One of the anatomies of a run.

    Attributes:
        title: the protocol's anatomy, such as "knee".
        folders: of its data.
        config: as if it were learnt alone, by the same network.
    """

    title: str
    protocol: Protocol
    folders: DataFolders
    config: TrainingConfig


def read_anatomies(config: TrainingConfig) -> list[Anatomy]:
    """The anatomies of a configuration, in the order of the network.

    Each is an object with the folders ``labels``, ``volumes``, ``datasets`` (a list), ``validation``, as the flags of
    ``autovolume train`` name them, its ``protocol``, and if they differ its ``train_heads``, ``check_heads``,
    ``training_data`` and the ``name`` of its bundle.

    Raises:
        UsageError: an anatomy lacks its protocol, has an unknown key, or is named twice; there is one only.
        ProtocolError: a protocol is unknown or damaged.
    """
    anatomies = [_anatomy(config, values, number) for number, values in enumerate(config.anatomies, 1)]
    titles = [anatomy.title for anatomy in anatomies]
    names = [anatomy.config.name for anatomy in anatomies]
    if len(set(titles)) < len(titles) or len(set(names)) < len(names):
        raise UsageError(
            f"two of {', '.join(titles)} are one anatomy or one bundle",
            source="anatomies",
            remedy="Give each protocol's data in one entry, and each entry its own name.",
        )
    if len(anatomies) < 2:
        raise UsageError(
            "holds one anatomy", source="anatomies", remedy="Name two, or set protocol and train it alone."
        )
    return anatomies


def joint_config(config: TrainingConfig, anatomies: Sequence[Anatomy]) -> TrainingConfig:
    """The configuration of the run: the network knows the landmarks of each anatomy; folders are named absolutely.

    Raises:
        UsageError: the network learns one anatomy only, or the run starts from another model.
    """
    if config.base:
        raise UsageError(
            "several anatomies are learnt from scratch", source="base", remedy='Use train, and leave "base" out.'
        )
    landmarks = [len(anatomy.protocol.constellation.names) for anatomy in anatomies]
    entries = tuple(
        {**values, **_absolute(anatomy)} for values, anatomy in zip(config.anatomies, anatomies, strict=True)
    )
    return replace(with_landmarks(config, landmarks), anatomies=entries)


def with_landmarks(config: TrainingConfig, landmarks: Sequence[int]) -> TrainingConfig:
    """The configuration with a network that knows so many landmarks of each anatomy.

    Raises:
        UsageError: the network learns one anatomy only.
    """
    joint = replace(config, options={**config.options, "anatomies": list(landmarks)})
    try:
        build_network(config.architecture, network_options(joint, sum(landmarks)))
    except (UsageError, ModelError) as error:
        raise UsageError(
            f"{config.architecture} cannot learn several anatomies ({error.what})",
            source="architecture",
            remedy='Set "architecture": "gu2net" with its options.',
        ) from error
    return joint


def anatomy_data(anatomy: Anatomy) -> TrainingData:
    """The training and validation data of one anatomy.

    Raises:
        InputError: a folder holds no training data, or those of another anatomy.
        UsageError: no data are named.
    """
    folders, constellation = anatomy.folders, anatomy.protocol.constellation
    for data_set in (*folders.datasets, *([folders.validation] if folders.validation else [])):
        require_fit(data_set, anatomy.protocol)
    return replace(load_training_data(folders, anatomy.config, constellation), title=anatomy.title)


def _anatomy(config: TrainingConfig, values: Any, number: int) -> Anatomy:
    source = f"anatomies, number {number}"
    if not isinstance(values, Mapping) or not isinstance(values.get("protocol"), str):
        raise UsageError("names no protocol", source=source, remedy=_REMEDY)
    if unknown := sorted(set(values) - {*FOLDERS, *SETTINGS}):
        known = ", ".join((*FOLDERS, *SETTINGS))
        raise UsageError(f"unknown key {unknown[0]}", source=source, remedy=f"Known: {known}.")
    protocol = load_protocol(values["protocol"])
    own = {"name": default_bundle_name(protocol), **{key: values[key] for key in SETTINGS if key in values}}
    options = {**config.options, "anatomies": 1}
    alone = replace(config, anatomies=(), options=options).replaced(own, source)
    return Anatomy(protocol.anatomy or protocol.name, protocol, _folders(values, source), alone)


def _folders(values: Mapping[str, Any], source: str) -> DataFolders:
    single = {key: values[key] for key in FOLDERS if key != "datasets" and values.get(key) is not None}
    several = values.get("datasets", [])
    if not isinstance(several, list) or not all(isinstance(text, str) for text in (*several, *single.values())):
        raise UsageError("names folders by something else than text", source=source, remedy=_REMEDY)
    paths = {key: Path(text) for key, text in single.items()}
    return DataFolders(**paths, datasets=tuple(map(Path, several)))


def _absolute(anatomy: Anatomy) -> dict[str, Any]:
    folders = anatomy.folders.resolved()
    single = {key: str(path) for key in FOLDERS if isinstance(path := getattr(folders, key), Path)}
    several = {"datasets": [str(path) for path in folders.datasets]} if folders.datasets else {}
    protocol = anatomy.config.protocol
    return {**single, **several, "protocol": str(Path(protocol).resolve()) if protocol.endswith(".json") else protocol}
