"""Models that can be told where some landmarks are, and then find the others by them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .bundles import LandmarkModel, read_metadata
from .errors import ModelError
from .networks import find_architecture
from .user_models import model_folder, model_folders

_HOW_TO_GET_ONE = "Install or train a guided model, a bundle with a sequential network such as iterative."


def is_guided(metadata: Mapping[str, Any]) -> bool:
    """Whether the bundle with this metadata can be given landmarks; ModelError where its network is not known."""
    network = metadata["network"]
    return find_architecture(network["architecture"], network["options"]).sequential


def find_guided_model(
    given: Collection[str], wanted: Collection[str], preferred: str | Path | None = None
) -> Path | None:
    """Folder of a model that can be given the landmarks ``given``; of several the one that knows most of ``wanted``.

    Damaged bundles are passed over.

    Args:
        preferred: name or folder of the model that comes first among equals, the default one when None. The others
            follow as ``user_models.model_folders`` has them.

    Returns:
        None where there is no such model, or none that knows one of ``wanted``.
    """
    known = {folder: _names_it_can_be_given(folder) for folder in _folders(preferred)}
    able = [folder for folder, names in known.items() if names.issuperset(given) and names.intersection(wanted)]
    return max(able, key=lambda folder: len(known[folder].intersection(wanted)), default=None)


def choose_guided_model(given: Collection[str], wanted: Collection[str], preferred: str | Path | None = None) -> Path:
    """As ``find_guided_model``; ModelError where there is none."""
    folder = find_guided_model(given, wanted, preferred)
    if folder is None:
        raise no_guided_model(given)
    return folder


def no_guided_model(given: Collection[str]) -> ModelError:
    """The error that there is no model that can be given these landmarks."""
    return ModelError(f"no model here finds the rest by {', '.join(given) or 'given points'}", remedy=_HOW_TO_GET_ONE)


def require_guided(model: LandmarkModel, given: Collection[str]) -> None:
    """Raise ModelError where a model cannot be given these landmarks; it names a model that can."""
    unknown = [name for name in given if name not in model.names]
    if model.sequential and not unknown:
        return
    what = f"does not know {', '.join(unknown)}" if model.sequential else "cannot be told where landmarks are"
    other = find_guided_model(given, model.names)
    remedy = _HOW_TO_GET_ONE if other is None else f"Choose the model {other.name}."
    raise ModelError(what, source=model.name, remedy=remedy)


def _folders(preferred: str | Path | None) -> Iterator[Path]:
    with suppress(ModelError):
        yield model_folder(preferred)
    yield from model_folders().values()


def _names_it_can_be_given(folder: Path) -> frozenset[str]:
    """Landmarks that a model can be given; none of a model whose network is not sequential, or that is damaged."""
    try:
        metadata = read_metadata(folder)
        names = [entry["name"] for entry in metadata["landmarks"]] if is_guided(metadata) else []
    except ModelError:
        names = []
    return frozenset(names)
