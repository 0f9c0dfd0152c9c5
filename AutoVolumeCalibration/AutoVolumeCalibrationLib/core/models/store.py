"""The installed models: the shipped ones, and the user's own, which may replace the shipped default of an anatomy.

The user's models lie in one folder, a bundle each. ``current.json`` beside them names the default model of each
anatomy, and the previous one for each change: another anatomy's model never takes the place of the brain's, or the
reverse. The folder is created with the first promotion.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..anatomy.protocol_file import shipped_anatomy
from ..errors import ModelError
from ..files.atomic_write import write_text
from ..files.json_files import json_text, read_json
from ..files.resources import resource_path

_logger = logging.getLogger(__name__)

#: Name of the shipped bundle that is used until another one is promoted.
DEFAULT_MODEL = "brain-scout"

#: Its anatomy, also of bundles that state none and whose landmarks are not known.
DEFAULT_ANATOMY = "brain"

#: Stands for a model where the anatomy has none.
NO_MODEL = ""

#: Names the folder of the user's models, instead of the platform's folder for data.
FOLDER_VARIABLE = "AUTOVOLUME_MODELS"

#: Folder in a bundle with its protocols that are not shipped.
PROTOCOLS = "protocols"

CURRENT_FILE = "current.json"
CURRENT_FORMAT = "AutoVolumeCalibration/user-models/1"


@dataclass(frozen=True)
class Promotion:
    """One change of the default model of an anatomy.

    Attributes:
        model: name of the model that was promoted; sha256: of its weights.
        before: name of the previous default, which a roll-back restores; NO_MODEL for the first one of an anatomy.
        promoted_at: date and time, ISO 8601 in UTC.
        reason: the comparison that the promotion rests on, plain JSON values.
    """

    model: str
    sha256: str
    before: str
    promoted_at: str
    reason: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CurrentModel:
    """The default models, and all promotions, oldest first.

    ``name`` is the one for DEFAULT_ANATOMY, which is also used where no anatomy is named; ``others`` those that were
    promoted for other anatomies, anatomy -> name.
    """

    name: str = DEFAULT_MODEL
    history: tuple[Promotion, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)

    def of(self, anatomy: str) -> str | None:
        """The promoted default model of an anatomy; None where none was promoted, except for DEFAULT_ANATOMY."""
        return self.name if anatomy == DEFAULT_ANATOMY else self.others.get(anatomy)

    def with_model(self, anatomy: str, name: str) -> CurrentModel:
        """The same with another default model of one anatomy; NO_MODEL takes the anatomy's away."""
        if anatomy == DEFAULT_ANATOMY:
            return replace(self, name=name)
        rest = {other: its for other, its in self.others.items() if other != anatomy}
        return replace(self, others={**rest, anatomy: name} if name else rest)


def user_models_folder() -> Path:
    """The folder of the user's models; it need not exist.

    ``AUTOVOLUME_MODELS``, else ``AutoVolume/models`` in the platform's folder for a user's data: ``%APPDATA%``,
    ``~/Library/Application Support``, or ``$XDG_DATA_HOME`` (``~/.local/share``; the XDG base directory
    specification has relative paths ignored).

    Raises:
        ModelError: the account has no home folder.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else _data_folder() / "AutoVolume" / "models"


def _data_folder() -> Path:
    try:
        home = Path.home()
    except RuntimeError as error:
        remedy = f"Name a folder for models in the environment variable {FOLDER_VARIABLE}."
        raise ModelError("the account has no home folder", remedy=remedy) from error
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    chosen = Path(os.environ.get("XDG_DATA_HOME") or "")
    return chosen if chosen.is_absolute() else home / ".local" / "share"


def model_folders() -> dict[str, Path]:
    """Name -> bundle folder of the shipped models and then the user's, each by name; a shipped name is never hidden."""
    own = _readable_user_folder()
    return {**(_bundles_in(own) if own else {}), **shipped_models()}


def shipped_models() -> dict[str, Path]:
    """Name -> bundle folder of the models that are part of the project."""
    return _bundles_in(resource_path("Models"))


def carried_protocols() -> dict[str, Path]:
    """Name -> file of the protocols that the default models bring along in their bundles, by anatomy and name.

    Raises:
        ModelError: ``current.json`` is damaged.
    """
    folders = model_folders()
    default = [folders[name] for name in default_models().values() if name in folders]
    files = [path for folder in default for path in sorted((folder / PROTOCOLS).glob("*.json"))]
    return {path.stem: path for path in reversed(files)}


def _bundles_in(folder: Path) -> dict[str, Path]:
    """The bundles in a folder by name. Names that begin with a dot are unfinished copies."""
    found = sorted(path.parent.parent for path in folder.glob("*/configs/metadata.json"))
    return {path.name: path for path in found if not path.name.startswith(".")}


def bundle_anatomy(folder: Path) -> str:
    """The anatomy whose landmarks a bundle finds: the stated one, else the shipped one with most of its landmarks.

    Raises:
        ModelError: its metadata cannot be read.
    """
    metadata = read_json(folder / "configs" / "metadata.json", ModelError, "Get the bundle again.")
    if not isinstance(metadata, dict):
        return DEFAULT_ANATOMY
    stated = metadata.get("anatomy")
    return stated if isinstance(stated, str) and stated else _anatomy_with_most_of(metadata.get("landmarks"))


def _anatomy_with_most_of(landmarks: Any) -> str:
    """The shipped anatomy with most of these landmarks, entries of a bundle's metadata that was not checked."""
    entries = landmarks if isinstance(landmarks, list) else []
    names = {str(entry.get("name")) for entry in entries if isinstance(entry, dict)}
    best, most = DEFAULT_ANATOMY, 0
    for path in sorted(resource_path("Anatomies").glob("*.json")):
        constellation = shipped_anatomy(path.stem)
        found = len(names & set(constellation.names)) if constellation else 0
        if found > most:
            best, most = path.stem, found
    return best


def model_folder(name_or_folder: str | Path | None = None) -> Path:
    """The folder of a bundle: a folder as it is, a model by its name, the default one when None.

    Raises:
        ModelError: unknown bundle, or damaged ``current.json``.
    """
    known = model_folders()
    if name_or_folder is None:
        name = default_model_name()
        if name not in known:
            remedy = f"Put the bundle {name} back beside the file, or roll back to the previous default model."
            raise ModelError(f"the default model {name} is missing", source=str(_current_file()), remedy=remedy)
        return known[name]
    if (Path(name_or_folder) / "configs").is_dir():
        return Path(name_or_folder)
    if str(name_or_folder) not in known:
        remedy = f"Give a bundle folder or one of: {', '.join(known) or 'none'}."
        raise ModelError(f"unknown model {name_or_folder}", remedy=remedy)
    return known[str(name_or_folder)]


def default_folder(anatomy: str) -> Path | None:
    """The bundle of an anatomy's default model, None where it has none; that of DEFAULT_ANATOMY for "".

    Raises:
        ModelError: the bundle is missing, or ``current.json`` is damaged.
    """
    if anatomy in ("", DEFAULT_ANATOMY):
        return model_folder()
    name = default_models().get(anatomy)
    return model_folder(name) if name else None


def default_model_name(anatomy: str | None = None) -> str:
    """Name of the model that is used where none is named: the promoted one, else the shipped default.

    Args:
        anatomy: whose default model; that of DEFAULT_ANATOMY when None.

    Raises:
        ModelError: ``current.json`` is damaged: the user's choice is never silently replaced by another model. Or there
            is no model of the anatomy.
    """
    if anatomy is None or anatomy == DEFAULT_ANATOMY:
        return read_current().name
    known = default_models()
    if anatomy not in known:
        remedy = f"Install or promote one; there are models for: {', '.join(known)}."
        raise ModelError(f"no model for the anatomy {anatomy} is installed", remedy=remedy)
    return known[anatomy]


def default_models() -> dict[str, str]:
    """Anatomy -> name of its default model: the promoted one, else a shipped one; DEFAULT_ANATOMY comes first.

    Of several shipped ones the first by name, of those that need no guidance where there are any.

    Raises:
        ModelError: ``current.json`` is damaged.
    """
    current = read_current()
    names = {DEFAULT_ANATOMY: current.name}
    for name, folder in sorted(shipped_models().items(), key=lambda item: (item[0].endswith("guided"), item[0])):
        names.setdefault(bundle_anatomy(folder), name)
    return {**names, **current.others}


def read_current() -> CurrentModel:
    """The default models and the history of promotions; the shipped default where nothing was promoted.

    Also where the user's models cannot be read, which is logged: they are optional.

    Raises:
        ModelError: ``current.json`` is damaged.
    """
    folder = _readable_user_folder()
    if folder is None or not (path := folder / CURRENT_FILE).exists():
        return CurrentModel()
    remedy = f"Delete the file to go back to {DEFAULT_MODEL}, or write a model's name as current."
    data = read_json(path, ModelError, remedy)
    try:
        if data["format"] != CURRENT_FORMAT:
            raise ValueError(f"format {data['format']!r}")
        history = tuple(Promotion(**entry) for entry in data["history"])
        others = dict(data.get("others", {}))
        names = [data["current"], *others, *others.values(), *(name for each in history for name in _names_in(each))]
        if not all(isinstance(name, str) and name for name in names):
            raise ValueError("a model's name must be a non-empty string")
    except (ValueError, TypeError, LookupError) as error:
        raise ModelError(f"does not name the current model ({error})", source=str(path), remedy=remedy) from error
    return CurrentModel(data["current"], history, others)


def write_current(current: CurrentModel) -> None:
    """Replace ``current.json`` as a whole; UsageError where it cannot be written."""
    data: dict[str, Any] = {"format": CURRENT_FORMAT, "current": current.name}
    if current.others:
        data["others"] = dict(current.others)
    data["history"] = [asdict(step) for step in current.history]
    write_text(_current_file(), json_text(data))


def _names_in(step: Promotion) -> tuple[str, ...]:
    """The names that a promotion must have; the first model of an anatomy replaces none."""
    return (step.model, *([] if step.before == NO_MODEL else [step.before]))


def _readable_user_folder() -> Path | None:
    """The folder of the user's models; None where it does not exist or the account may not read it."""
    try:
        folder = user_models_folder()
        next(folder.iterdir(), None)
    except FileNotFoundError:
        return None
    except (ModelError, OSError) as error:
        reason = error.what if isinstance(error, ModelError) else error.strerror or str(error)
        _logger.warning("the user's own models are not used: %s", reason)
        return None
    return folder


def _current_file() -> Path:
    return user_models_folder() / CURRENT_FILE
