"""What a bundle states about itself: its anatomy and protocols, and how each of its numbers came about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import list_protocols, shipped_anatomy
from AutoVolumeCalibrationLib.core.errors import ProtocolError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json
from AutoVolumeCalibrationLib.core.models.store import PROTOCOLS
from AutoVolumeCalibrationLib.core.planning.protocol_editing import constellation_to_dict

#: A number that nobody measured for this model.
ASSUMED = "assumed"

#: Key of a bundle's metadata: name of a number -> how it came about, in words.
EVIDENCE = "evidence"

#: Of a bundle whose numbers nobody measured yet. ``detection.model_limits`` says where the defaults come from.
UNMEASURED = {
    "threshold": f"{ASSUMED}: measured with brain-scout 0.1.0",
    "limits": f"{ASSUMED}: measured with brain-scout 0.1.0",
    "recognition": ASSUMED,
    "uncertainty": ASSUMED,
    "coverage": ASSUMED,
}


def anatomy_facts(protocol: Protocol, architecture: str) -> dict[str, Any]:
    """Title, anatomy, and the protocols that a model of this protocol's landmarks can plan, its own first."""
    names = set(protocol.constellation.names)
    others = [
        other.name
        for other in list_protocols()
        if other.anatomy == protocol.anatomy and set(other.constellation.names) <= names
    ]
    return {
        "title": f"{anatomy_title(protocol)} landmarks on scout slices ({architecture})",
        "anatomy": protocol.anatomy or protocol.name,
        "protocols": list(dict.fromkeys([protocol.name, *others])),
    }


def carry_protocol(bundle: Path, protocol: Protocol) -> None:
    """Write the protocol into ``bundle/protocols``, complete in itself, unless it is a shipped one.

    A bundle that is handed on can then be used without the folder that it was trained in.
    """
    if protocol.name in {shipped.name for shipped in list_protocols()}:
        return
    data = read_json(protocol.source, ProtocolError, "Put the protocol file back.")
    if protocol.constellation is not shipped_anatomy(protocol.anatomy):
        data = {**data, **constellation_to_dict(protocol.constellation)}
    folder = bundle / PROTOCOLS
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{protocol.name}.json", json_text(data))


def anatomy_title(protocol: Protocol) -> str:
    """What users call the anatomy: its name in words, or the protocol's title where it names no anatomy."""
    return protocol.anatomy.replace("_", " ").capitalize() or protocol.title


def default_bundle_name(protocol: Protocol) -> str:
    """The name of a bundle that nobody named: ``brain-scout``, ``knee-scout``."""
    return f"{(protocol.anatomy or protocol.name).lower()}-scout"


def measured_on(count: int, what: str) -> str:
    """How a measured number came about: ``measured on 12 people``."""
    return f"measured on {count} {what}"
