"""Protocol and anatomy files: find, read and check them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import ProtocolError
from ..files.json_files import read_json, require_schema
from ..files.resources import resource_path
from ..geometry.oriented_box import FACES
from .constellation import Constellation, constellation_from_dict
from .protocol import BOX_AXES, BoxRule, FaceRule, FixedSlab, Protocol
from .protocol_lines import REMEDY as _REMEDY
from .protocol_lines import read_frame, read_line, read_lines, read_names, read_side, require_known

FORMAT = "AutoVolumeCalibration/protocol/1"


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
    frame = read_frame(data["frame"], constellation, source)
    boxes = tuple(_box(entry, f"boxes[{index}]", constellation, source) for index, entry in enumerate(data["boxes"]))
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
        read_side(data, "side", constellation, source),
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


def _box(entry: Mapping[str, Any], path: str, constellation: Constellation, source: Path) -> BoxRule:
    faces = {name: _face(face) for name, face in entry["faces"].items()}
    for name, face in faces.items():
        require_known((*face.landmarks, *face.anchor), constellation, f"{path}.faces.{name}", source)
    line = read_line(entry["line"]) if entry.get("line") else None
    if line is not None:
        require_known([*line[0], *line[1]], constellation, f"{path}.line", source)
    lines = read_lines(entry.get("lines"), f"{path}.lines", constellation, source)
    if line is not None and lines:
        raise ProtocolError(f"{path}: states both line and lines", source=str(source), remedy=_REMEDY)
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
        lines,
        read_side(entry, f"{path}.side", constellation, source),
    )


def _face(entry: Mapping[str, Any]) -> FaceRule:
    return FaceRule(
        read_names(entry["landmark"]),
        float(entry.get("margin_mm", 0.0)),
        bool(entry.get("cover", False)),
        read_names(entry.get("anchor", ())),
        float(entry.get("length_mm", 0.0)),
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
