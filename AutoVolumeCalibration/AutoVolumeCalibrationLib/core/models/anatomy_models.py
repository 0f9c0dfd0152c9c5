"""The default model of each anatomy: another anatomy's model never takes the place of the brain's, or the reverse.

That of the shipped default model's anatomy is named by ``current.json`` (``store``). Every other anatomy has a file of
the same form beside it, ``current-<anatomy>.json``, once a model of it was promoted; before that its shipped model is
the default, where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..anatomy.protocol import Protocol
from ..anatomy.protocol_file import shipped_anatomy
from ..errors import ModelError, UsageError
from ..files.atomic_write import write_text
from ..files.json_files import json_text, read_json
from ..files.resources import resource_path
from .bundle import read_metadata
from .store import (
    CURRENT_FORMAT,
    CurrentModel,
    Promotion,
    model_folder,
    model_folders,
    read_current,
    shipped_models,
    user_models_folder,
    write_current,
)

#: Anatomy of ``store.DEFAULT_MODEL``, and of bundles that state none and whose landmarks are not known.
DEFAULT_ANATOMY = "brain"

#: Stands for a model where the anatomy has none.
NO_MODEL = ""

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")


def anatomy_of(metadata: Mapping[str, Any]) -> str:
    """The anatomy whose landmarks a bundle finds: the stated one, else the shipped one with most of its landmarks."""
    stated = str(metadata.get("anatomy") or "")
    if stated:
        return stated
    names = {entry["name"] for entry in metadata["landmarks"]}
    known = {}
    for path in sorted(resource_path("Anatomies").glob("*.json")):
        constellation = shipped_anatomy(path.stem)
        known[path.stem] = len(names & set(constellation.names)) if constellation else 0
    best = max(known, key=lambda name: known[name], default=DEFAULT_ANATOMY)
    return best if known.get(best) else DEFAULT_ANATOMY


def default_model_of(anatomy: str) -> str:
    """Name of the anatomy's default model, ``NO_MODEL`` where it has none; ModelError: its file is damaged."""
    return current_model_of(anatomy).name


def model_for(name_or_folder: str | Path | None, protocol: Protocol) -> str | Path | None:
    """The model that the user names, else the default one of the protocol's anatomy; None: that of ``store``.

    A user's own anatomy without a model, with landmarks of the default model's, is planned with that one.

    Raises:
        ModelError: no model is named, and none finds a landmark of the protocol.
    """
    if name_or_folder is not None or _is_default(protocol.anatomy):
        return name_or_folder
    name = default_model_of(protocol.anatomy)
    if name:
        return name
    known = {entry["name"] for entry in read_metadata(model_folder())["landmarks"]}
    if known & set(protocol.constellation.names):
        return None
    raise ModelError(
        f"there is no model for the anatomy {protocol.anatomy}", remedy="Name a bundle of it, or train and promote one."
    )


def current_model_of(anatomy: str) -> CurrentModel:
    """The anatomy's default model and its promotions, oldest first; the name is ``NO_MODEL`` where it has none.

    Raises:
        ModelError: the file is damaged.
    """
    if _is_default(anatomy):
        return read_current()
    path = _file(anatomy)
    if not path.exists():
        return CurrentModel(_shipped_model_of(anatomy))
    remedy = "Delete the file to go back to the shipped model, or write a model's name as current."
    data = read_json(path, ModelError, remedy)
    try:
        if data["format"] != CURRENT_FORMAT or not isinstance(data["current"], str):
            raise ValueError("another format")
        return CurrentModel(data["current"], tuple(Promotion(**entry) for entry in data["history"]))
    except (ValueError, TypeError, LookupError) as error:
        raise ModelError(f"does not name the current model ({error})", source=str(path), remedy=remedy) from error


def write_current_of(anatomy: str, current: CurrentModel) -> None:
    """Replace the anatomy's file; UsageError where it cannot be written."""
    if _is_default(anatomy):
        write_current(current)
        return
    data = {"format": CURRENT_FORMAT, "current": current.name, "history": [asdict(one) for one in current.history]}
    write_text(_file(anatomy), json_text(data))


def all_promotions() -> tuple[Promotion, ...]:
    """The promotions of all anatomies; ModelError: a file is damaged."""
    others = [path.stem.removeprefix("current-") for path in sorted(user_models_folder().glob("current-*.json"))]
    return tuple(step for anatomy in (DEFAULT_ANATOMY, *others) for step in current_model_of(anatomy).history)


def default_models() -> dict[str, str]:
    """Anatomy -> name of its default model, for every anatomy that has an installed model."""
    anatomies = [anatomy_of(read_metadata(folder)) for folder in model_folders().values()]
    found = {anatomy: default_model_of(anatomy) for anatomy in dict.fromkeys([DEFAULT_ANATOMY, *anatomies])}
    return {anatomy: name for anatomy, name in found.items() if name}


def _shipped_model_of(anatomy: str) -> str:
    """The first shipped model of the anatomy that needs no guidance, by name."""
    named = [name for name, folder in shipped_models().items() if anatomy_of(read_metadata(folder)) == anatomy]
    return min(named, key=lambda name: (name.endswith("guided"), name), default=NO_MODEL)


def _is_default(anatomy: str) -> bool:
    return anatomy in ("", DEFAULT_ANATOMY)


def _file(anatomy: str) -> Path:
    if not _NAME.fullmatch(anatomy):
        raise UsageError(f"{anatomy!r} is not a valid name of an anatomy", remedy="Use letters, digits and _.")
    return user_models_folder() / f"current-{anatomy}.json"


def folder_of_default(anatomy: str) -> Path | None:
    """The bundle of the anatomy's default model, None where it has none; ModelError: it is missing."""
    if _is_default(anatomy):
        return model_folder()
    name = default_model_of(anatomy)
    return model_folder(name) if name else None
