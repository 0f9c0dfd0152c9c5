"""The model that a fine-tuning starts from where none is named. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.models.bundle import read_metadata
from AutoVolumeCalibrationLib.core.models.store import (
    DEFAULT_MODEL,
    default_model_name,
    default_models,
    model_folders,
    shipped_models,
)


def base_model(protocol: Protocol | None) -> str:
    """Name of the model in use that knows most of the protocol's landmarks; without one that of the default anatomy.

    Raises:
        ModelError: the file that names the models in use, or a bundle, is damaged.
    """
    return nearest_model(protocol.constellation.names)[0] if protocol else default_model_name()


def nearest_model(names: Sequence[str]) -> tuple[str, int]:
    """The model, shipped or in use, that knows most of the landmarks, and how many it knows.

    Of several the one in use. A network of any anatomy is a better start than random weights: edges and tissues look
    alike.
    """
    folders, in_use = model_folders(), list(default_models().values())
    candidates = {name: folders[name] for name in dict.fromkeys([*shipped_models(), *in_use]) if name in folders}
    known = {
        name: len({entry["name"] for entry in read_metadata(folder)["landmarks"]} & set(names))
        for name, folder in candidates.items()
    }
    # Where none knows any, the model of the default anatomy.
    ranks = {name: (count, name in in_use, name == default_model_name()) for name, count in known.items()}
    nearest = max(ranks, key=lambda name: (*ranks[name], name == DEFAULT_MODEL))
    return nearest, known[nearest]
