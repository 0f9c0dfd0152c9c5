"""Protocol and anatomy files: find, read and check them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ProtocolError
from ..files.json_files import read_json, require_schema
from ..files.resources import resource_path
from ..geometry.oriented_box import FACES
from .constellation import Constellation, constellation_from_dict
from .protocol import BOX_AXES, BoxRule, FaceRule, FixedSlab, FrameRule, Line, Protocol, line_axes

FORMAT = "AutoVolumeCalibration/protocol/1"

#: How far the reference constellation may lie off its own frame.
PLACEMENT_TOLERANCE_MM = 1.0
PLACEMENT_TOLERANCE_DEG = 3.0

_REMEDY = "Correct the protocol file."


def list_protocols() -> list[Protocol]:
    """The protocols that are shipped, by file name."""
    return [load_protocol(path) for path in sorted(resource_path("Protocols").glob("*.json"))]


def load_protocol(name_or_file: str | Path) -> Protocol:
    """A shipped protocol by its name, or the protocol of a ``.json`` file.

    Raises:
        ProtocolError: unknown protocol, or a damaged file, with the position of the fault and a remedy.
    """
    path = _protocol_path(name_or_file)
    data = read_json(path, ProtocolError, _REMEDY)
    require_schema(data, "protocol", path, ProtocolError, _REMEDY)
    constellation = (
        constellation_from_dict(data, path)
        if "landmarks" in data
        else _load_anatomy(_anatomy_path(data["anatomy"], path))
    )
    return protocol_from_dict(data, constellation, path)


def protocol_from_dict(data: Mapping[str, Any], constellation: Constellation, source: Path) -> Protocol:
    """The protocol of ``data``, which fits the protocol schema; ProtocolError where a name is not known."""
    known = set(constellation.names)
    frame = FrameRule(data["frame"]["origin"], _line(data["frame"]["line"]))
    _require_known([frame.origin, *frame.line[0], *frame.line[1]], known, "frame", source)
    _require_placed(frame, constellation, source)
    boxes = tuple(_box(entry, f"boxes[{index}]", known, source) for index, entry in enumerate(data["boxes"]))
    names = [box.name for box in boxes]
    if len(set(names)) < len(names):
        raise ProtocolError("boxes: two boxes share a name", source=str(source), remedy="Give each its own name.")
    return Protocol(
        data["name"],
        data.get("title", data["name"]),
        data.get("anatomy", ""),
        constellation,
        frame,
        boxes,
        Path(source),
        data.get("definition", ""),
    )


def _protocol_path(name_or_file: str | Path) -> Path:
    if str(name_or_file).endswith(".json"):
        return Path(name_or_file)
    shipped = {path.stem: path for path in resource_path("Protocols").glob("*.json")}
    if str(name_or_file) not in shipped:
        raise ProtocolError(
            f"unknown protocol {name_or_file}", remedy=f"Give a .json file or one of: {', '.join(sorted(shipped))}."
        )
    return shipped[str(name_or_file)]


def shipped_anatomy(name: str) -> Constellation | None:
    """The constellation of ``Resources/Anatomies/<name>.json``, always the same object; None for an unknown name."""
    path = _shipped_anatomies().get(name)
    return _load_anatomy(path) if path else None


def _anatomy_path(anatomy: str, protocol: Path) -> Path:
    """A file beside the protocol comes first, so that a folder of protocols can bring its own anatomy."""
    beside = protocol.parent / f"{anatomy}.json"
    if beside.is_file():
        return beside
    shipped = _shipped_anatomies()
    if anatomy not in shipped:
        raise ProtocolError(
            f"anatomy: unknown anatomy {anatomy}",
            source=str(protocol),
            remedy=f"Put {anatomy}.json beside the protocol or name one of: {', '.join(sorted(shipped))}.",
        )
    return shipped[anatomy]


def _shipped_anatomies() -> dict[str, Path]:
    return {path.stem: path for path in resource_path("Anatomies").glob("*.json")}


def _load_anatomy(path: Path) -> Constellation:
    return _cached_anatomy(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _cached_anatomy(path: Path, _modified: int) -> Constellation:
    data = read_json(path, ProtocolError, "Correct the anatomy file.")
    require_schema(data, "anatomy", path, ProtocolError, "Correct the anatomy file.")
    return constellation_from_dict(data, path)


def _box(entry: Mapping[str, Any], path: str, known: set[str], source: Path) -> BoxRule:
    faces = {
        name: FaceRule(_names(face["landmark"]), float(face["margin_mm"]), bool(face.get("cover", False)))
        for name, face in entry["faces"].items()
    }
    for name, face in faces.items():
        _require_known(face.landmarks, known, f"{path}.faces.{name}", source)
    line = _line(entry["line"]) if entry.get("line") else None
    if line is not None:
        _require_known([*line[0], *line[1]], known, f"{path}.line", source)
    if entry["phase_axis"] == entry["slice_axis"]:
        raise ProtocolError(
            f"{path}.phase_axis: is the slice axis", source=str(source), remedy="Encode phase along another axis."
        )
    tilt = entry.get("tilt_deg", {})
    about_right, about_anterior, about_superior = (float(tilt.get(f"about_{axis}", 0.0)) for axis in BOX_AXES)
    slab = _slab(entry.get("slab"))
    return BoxRule(
        entry["name"],
        entry.get("title", entry["name"]),
        line,
        (about_right, about_anterior, about_superior),
        entry["slice_axis"],
        entry["phase_axis"],
        {name: faces[name] for name in FACES},
        slab.slice_thickness_mm if slab else float(entry["slice_thickness_mm"]),
        slab.gap_mm if slab else float(entry["gap_mm"]),
        bool(entry["round_up_to_slices"]),
        slab,
    )


def _slab(entry: Mapping[str, Any] | None) -> FixedSlab | None:
    """The fixed slab of a box; it states thickness and gap itself, so that it can be copied as a whole."""
    if entry is None:
        return None
    return FixedSlab(
        int(entry["slices"]),
        float(entry["slice_thickness_mm"]),
        float(entry["gap_mm"]),
        float(entry["fov_read_mm"]),
        float(entry["fov_phase_mm"]),
    )


def _require_placed(frame: FrameRule, constellation: Constellation, source: Path) -> None:
    """A constellation that does not lie in its frame would silently rotate every box."""
    positions = dict(zip(constellation.names, constellation.reference_mm, strict=True))
    pitched = line_axes(np.eye(3), frame.line, positions)
    pitch_deg = math.degrees(math.atan2(pitched[1, 2], pitched[1, 1]))
    if np.linalg.norm(positions[frame.origin]) > PLACEMENT_TOLERANCE_MM or abs(pitch_deg) > PLACEMENT_TOLERANCE_DEG:
        raise ProtocolError(
            f"frame: {frame.origin} lies {np.linalg.norm(positions[frame.origin]):.1f} mm from the origin of the "
            f"reference positions and the line is pitched by {pitch_deg:.1f} deg",
            source=str(source),
            remedy="Express reference_mm of all landmarks in the frame.",
        )


def _line(entry: Mapping[str, Any]) -> Line:
    return _names(entry["from"]), _names(entry["to"])


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _require_known(names: Iterable[str], known: set[str], path: str, source: Path) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ProtocolError(
            f"{path}: {', '.join(unknown)} not defined in this anatomy", source=str(source), remedy=_REMEDY
        )
