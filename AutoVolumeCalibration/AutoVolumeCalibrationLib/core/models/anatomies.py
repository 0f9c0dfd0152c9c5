"""The installed anatomies: a protocol and the default model of each, and which of them the scouts show."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..anatomy.protocol import Protocol
from ..anatomy.protocol_file import list_protocols, load_protocol
from ..detection.landmark_model import LandmarkModel
from ..errors import ModelError, ProtocolError
from ..scouts.stack import ScoutStack
from ..workflow.calibration import Calibration
from ..workflow.recognition import AnatomyCandidate, Recognised, check_anatomy, recognise
from .bundle import load_model, read_metadata
from .store import DEFAULT_ANATOMY, PROTOCOLS, bundle_anatomy, carried_protocols, default_models, model_folder

_logger = logging.getLogger(__name__)

#: ``bundle.load_model``, or what stands for it.
Loader = Callable[[str | Path | None, str, str], LandmarkModel]


def default_protocol(anatomy: str, model: str | Path) -> Protocol:
    """The protocol of an anatomy that is used where none is named: the first of its model, else the first shipped one.

    Those of the model are shipped ones, or lie in its bundle.

    Raises:
        ProtocolError: there is none, or the bundle's is damaged.
        ModelError: the model is not installed.
    """
    shipped = {protocol.name: protocol for protocol in list_protocols() if protocol.anatomy == anatomy}
    folder = model_folder(model)
    carried = {path.stem: path for path in (folder / PROTOCOLS).glob("*.json")}
    for name in read_metadata(folder).get("protocols", ()):
        if name in shipped:
            return shipped[name]
        if name in carried:
            return load_protocol(carried[name])
    if not shipped:
        raise ProtocolError(f"no protocol for the anatomy {anatomy} is installed", remedy="Name the protocol file.")
    return next(iter(shipped.values()))


def find_protocol(name_or_file: str | Path) -> Protocol:
    """A shipped protocol or one of a default model's bundle by its name, or the protocol of a ``.json`` file.

    Raises:
        ProtocolError: unknown or damaged.
        ModelError: ``current.json`` is damaged.
    """
    shipped = {protocol.name for protocol in list_protocols()}
    carried = {} if str(name_or_file) in shipped else carried_protocols()
    return load_protocol(carried.get(str(name_or_file), name_or_file))


def usable_protocols() -> list[Protocol]:
    """The shipped protocols, and then those that the default models bring along; a shipped name is never hidden.

    Raises:
        ProtocolError: one of them is damaged.
        ModelError: ``current.json`` is damaged.
    """
    shipped = list_protocols()
    names = {protocol.name for protocol in shipped}
    return [*shipped, *(load_protocol(path) for name, path in carried_protocols().items() if name not in names)]


def known_protocol(model: str | Path | None = None) -> Protocol | None:
    """The protocol to use where none is named: that of the named model's anatomy, or of the only installed one.

    None: several anatomies are installed, and the scouts decide (``choose_anatomy``).
    """
    if model is not None:
        return default_protocol(bundle_anatomy(model_folder(model)), model)
    models = default_models()
    return default_protocol(*next(iter(models.items()))) if len(models) == 1 else None


def choose_anatomy(
    stacks: Sequence[ScoutStack],
    device: str = "auto",
    backend: str = "auto",
    load: Loader = load_model,
    cancelled: Callable[[], bool] | None = None,
) -> Recognised:
    """The protocol and the model for these scouts: those of the installed anatomy that they show, surely or probably.

    With one anatomy installed nothing is looked at. A default model that cannot be loaded is an error.

    Raises:
        InputError: no model recognises its anatomy, or two do.
        ModelError: a default model is missing or damaged, or fails on the device.
    """
    candidates = installed_anatomies(device, backend, load)
    return recognise(stacks, candidates, cancelled)


def installed_anatomies(
    device: str = "auto", backend: str = "auto", load: Loader = load_model, without: Iterable[str] = ()
) -> list[AnatomyCandidate]:
    """A protocol and the loaded default model of every installed anatomy, but for those in ``without``.

    An anatomy without any installed protocol is left out: its model waits for a protocol file that is named.
    """
    kept = [(protocol, name) for protocol, name in default_protocols() if protocol.anatomy not in without]
    found = [AnatomyCandidate(protocol, load(name, device, backend)) for protocol, name in kept]
    if not found and not without:
        raise ModelError("no model is installed", remedy="Install one, or name a model and a protocol.")
    return found


def default_protocols() -> list[tuple[Protocol, str]]:
    """The default protocol of every installed anatomy that has one, and the name of its default model."""
    found = []
    for anatomy, name in default_models().items():
        with suppress(ProtocolError):
            found.append((default_protocol(anatomy, name), name))
    return found


def with_anatomy_checked(
    calibration: Calibration, model: LandmarkModel, load: Loader = load_model, **choices: Any
) -> Calibration:
    """The plan, with an error where another installed anatomy is recognised more surely; see ``check_anatomy``.

    With models of one anatomy installed nothing is loaded. An anatomy without an installed model is not compared: it
    may be a part of one that has a model.

    Args:
        choices: ``device`` and ``backend`` of the other models.
    """
    anatomy = calibration.protocol.anatomy
    if not _is_one_of_several(anatomy):
        return calibration
    return check_anatomy(calibration, model, installed_anatomies(load=load, without=[anatomy], **choices))


def model_for(protocol: Protocol) -> str | None:
    """Name of the default model of a protocol's anatomy; None: that of DEFAULT_ANATOMY.

    A user's own anatomy without a model, with landmarks of the default model's, is planned with that one.

    Raises:
        ModelError: no model finds a landmark of the protocol.
    """
    if protocol.anatomy in ("", DEFAULT_ANATOMY):
        return None
    name = default_models().get(protocol.anatomy)
    if name:
        return name
    known = {entry["name"] for entry in read_metadata(model_folder())["landmarks"]}
    if known & set(protocol.constellation.names):
        return None
    raise ModelError(
        f"there is no model for the anatomy {protocol.anatomy}",
        remedy="Name a bundle of it, train and promote one, or place landmarks by hand.",
    )


def _is_one_of_several(anatomy: str) -> bool:
    try:
        models = default_models()
    except ModelError as error:
        # The plan was made with a model that the user named; only the comparison is lost.
        _logger.warning("the anatomy was not compared with others: %s", error.what)
        return False
    return len(models) > 1 and anatomy in models
