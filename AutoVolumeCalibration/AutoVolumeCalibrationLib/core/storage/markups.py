"""Slicer Markups files: landmarks as a point list, the scan box as an ROI. Read and written without Slicer.

Slicer writes LPS; files in RAS are read as well. ``.fcsv`` point lists of older versions are read only.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..anatomy.constellation import Constellation
from ..anatomy.landmark import CORRECTED, MISSING, Landmark, in_plane_covariance_mm2
from ..errors import InputError
from ..files.atomic_write import write_text
from ..files.json_files import json_text, read_json
from ..geometry.coordinates import FARTHEST_MM, RAS_LPS, is_sensible, swap_ras_lps, unit
from ..geometry.oriented_box import OrientedBox

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)

#: Words and, in .fcsv files, numbers for a point that has a position.
_DEFINED = ("defined", "2")

#: Landmarks 1 to 32 of the anatomical fiducials protocol (Lau 2019), by their acronyms.
AFIDS = (
    *("AC", "PC", "ICS", "PMJ", "SIPF", "RSLMS", "LSLMS", "RILMS", "LILMS", "CUL", "IMS", "RMB", "LMB", "PG"),
    *("RLVAC", "LLVAC", "RLVPC", "LLVPC", "GENU", "SPLE", "RALTH", "LALTH", "RSAMTH", "LSAMTH", "RIAMTH", "LIAMTH"),
    *("RIGO", "LIGO", "RVOH", "LVOH", "ROSF", "LOSF"),
)

#: How ``landmark_description`` states what a correction within a slice left open.
_IN_PLANE = re.compile(
    r"\[corrected in-plane, depth sd (?P<sd>\d+\.?\d*) mm along RAS (?P<normal>(?:-?\d\.\d+ ?){3})\]"
)

_REMEDY = "Save the points or the box from Slicer as .mrk.json."


@dataclass(frozen=True, eq=False)
class MarkupPoint:
    """One control point of a file: ``position_mm`` (3,) RAS, None where it is missing or not yet placed.

    ``covariance_mm2`` (3, 3) RAS is that of a correction within a slice, as the description states it; else None.
    """

    name: str
    position_mm: np.ndarray | None
    locked: bool = False
    description: str = ""

    @property
    def covariance_mm2(self) -> np.ndarray | None:
        stated = _IN_PLANE.search(self.description)
        normal = np.array([float(part) for part in stated["normal"].split()]) if stated else np.zeros(3)
        if stated is None or not normal.any():
            return None
        return in_plane_covariance_mm2(unit(normal), float(stated["sd"]) ** 2)


def write_landmarks(path: Path | str, landmarks: Sequence[Landmark], constellation: Constellation) -> None:
    """Write landmarks as a Slicer point list: label = name, description = definition and status, corrected ones locked.

    Raises:
        UsageError: the file cannot be written.
    """
    write_text(path, json_text(landmarks_to_markups(landmarks, constellation)))


def write_scan_box(path: Path | str, box: OrientedBox) -> None:
    """Write the box as a Slicer ROI; UsageError where the file cannot be written."""
    write_text(path, json_text(scan_box_to_markups(box)))


def landmarks_to_markups(landmarks: Sequence[Landmark], constellation: Constellation) -> dict[str, Any]:
    """The content of a Markups file with one point list."""
    definitions = {landmark.name: landmark.definition for landmark in constellation.landmarks}
    points = [
        _control_point(
            number,
            landmark.name,
            landmark.position_mm,
            landmark.status == CORRECTED,
            landmark_description(landmark, definitions),
        )
        for number, landmark in enumerate(landmarks, start=1)
    ]
    return _markups("Fiducial", points, {"labelFormat": "%N-%d"})


def scan_box_to_markups(box: OrientedBox) -> dict[str, Any]:
    """The content of a Markups file with one ROI, whose axes are right, anterior, superior of the box."""
    orientation = swap_ras_lps(box.axes).T  # columns are the axes, in LPS
    shape = {
        "roiType": "Box",
        "center": _plain(swap_ras_lps(box.center_mm)),
        "orientation": _plain(orientation.ravel()),
        "size": _plain(box.size_mm),
        "insideOut": False,
    }
    return _markups("ROI", [_control_point(1, box.name, box.center_mm, False, "")], shape)


def landmark_description(landmark: Landmark, definitions: Mapping[str, str]) -> str:
    """What the landmark is and how well it is known, in one line."""
    if landmark.status == MISSING:
        known = "missing: not found in the scouts"
    elif landmark.status == CORRECTED:
        known = _corrected(landmark)
    else:
        known = f"predicted, confidence {landmark.confidence:.2f}"
        known += f", sd {landmark.sd_mm:.1f} mm" if landmark.sd_mm is not None else ""
    return f"{definitions.get(landmark.name, '')} [{known}]".strip()


def _corrected(landmark: Landmark) -> str:
    """What the user placed: all axes, or a slice; ``MarkupPoint.covariance_mm2`` reads it again."""
    normal = landmark.free_direction
    if normal is None or landmark.covariance_mm2 is None:
        return "corrected"
    sd_mm = float(np.sqrt(normal @ landmark.covariance_mm2 @ normal))
    direction = " ".join(f"{part:.6f}" for part in normal)
    return f"corrected in-plane, depth sd {sd_mm:.3f} mm along RAS {direction}"


def read_landmarks(path: Path | str) -> list[MarkupPoint]:
    """The points of all Slicer point lists in a file, ``.mrk.json``, ``.json`` or ``.fcsv``.

    Raises:
        InputError: it does not hold a point list, a point without a name, two of the same name, a position that is
            not three finite numbers, an unknown coordinate system.
    """
    points = _read_fcsv(path) if str(path).lower().endswith(".fcsv") else _read_point_lists(path)
    names = [point.name for point in points]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise _broken(path, f"has more than one point named {', '.join(repeated)}", "Keep one point of each name.")
    return points


def named_like(points: Iterable[MarkupPoint], names: Sequence[str]) -> list[MarkupPoint]:
    """The points under those of ``names`` that differ from theirs in case only; other points as they are."""
    spelled: dict[str, list[str]] = {}
    for name in names:
        spelled.setdefault(name.casefold(), []).append(name)

    def like(name: str) -> str:
        alike = spelled.get(name.casefold(), [])
        return alike[0] if name not in names and len(alike) == 1 else name

    return [replace(point, name=like(point.name)) for point in points]


def read_scan_box(path: Path | str) -> OrientedBox:
    """The box of a Slicer ROI file.

    Raises:
        InputError: it does not hold an ROI, or its centre, orientation or size is damaged.
    """
    boxes = _markups_of(path, "ROI")
    if len(boxes) > 1:
        raise _broken(path, f"holds {len(boxes)} boxes", "Keep one box in the file.")
    markup = boxes[0]
    flip = _to_ras(markup, path)
    center = _numbers(markup.get("center"), 3, "center", path) * flip
    size = _numbers(markup.get("size"), 3, "size", path)
    orientation = np.diag(flip) @ _numbers(
        markup.get("orientation", np.eye(3).ravel()), 9, "orientation", path
    ).reshape(3, 3)
    if (size <= 0).any():
        raise _broken(path, f"size is {size.tolist()}, every edge has to be longer than 0")
    u, stretch, vt = np.linalg.svd(orientation)
    if np.abs(stretch - 1).max() > 1e-3 or np.linalg.det(u @ vt) < 0:
        raise _broken(path, "orientation is not a rotation matrix")
    points = markup.get("controlPoints") or [{}]
    name = points[0].get("label", "") if isinstance(points[0], dict) else ""
    return OrientedBox(str(name) or Path(path).name.split(".")[0], center, (u @ vt).T, size)


def _markups(kind: str, points: list[dict[str, Any]], more: Mapping[str, Any]) -> dict[str, Any]:
    markup = {"type": kind, "coordinateSystem": "LPS", "coordinateUnits": "mm", "locked": False, **more}
    return {"@schema": SCHEMA, "markups": [{**markup, "controlPoints": points}]}


def _control_point(
    number: int, label: str, position_mm: np.ndarray | None, locked: bool, description: str
) -> dict[str, Any]:
    return {
        "id": str(number),
        "label": label,
        "description": description,
        "associatedNodeID": "",
        # Slicer itself writes an empty word where a point has no position.
        "position": "" if position_mm is None else _plain(swap_ras_lps(position_mm)),
        "selected": True,
        "locked": locked,
        "visibility": True,
        "positionStatus": "missing" if position_mm is None else "defined",
    }


def _markups_of(path: Path | str, kind: str) -> list[Mapping[str, Any]]:
    """All lists of a kind in a file; InputError where there are none."""
    data = read_json(path, InputError, _REMEDY)
    markups = data.get("markups") if isinstance(data, dict) else None
    found: list[Mapping[str, Any]] = [
        markup
        for markup in (markups if isinstance(markups, list) else ())
        if isinstance(markup, dict) and markup.get("type") == kind
    ]
    if not found:
        raise _broken(path, f"is a Markups file without a {'point list' if kind == 'Fiducial' else 'box (ROI)'}")
    return found


def _read_point_lists(path: Path | str) -> list[MarkupPoint]:
    return [point for markup in _markups_of(path, "Fiducial") for point in _points_of(markup, path)]


def _points_of(markup: Mapping[str, Any], path: Path | str) -> list[MarkupPoint]:
    flip = _to_ras(markup, path)
    entries = markup.get("controlPoints", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _broken(path, "controlPoints is not a list of points")
    points = []
    for number, entry in enumerate(entries, start=1):
        name = str(entry.get("label") or "").strip()
        if not name:
            raise _broken(path, f"point {number} has no label", "Name every point as in the protocol.")
        placed = str(entry.get("positionStatus", "defined")).lower() in _DEFINED
        position = _numbers(entry.get("position"), 3, f"position of {name}", path) * flip if placed else None
        points.append(MarkupPoint(name, position, bool(entry.get("locked", False)), str(entry.get("description", ""))))
    return points


def _read_fcsv(path: Path | str) -> list[MarkupPoint]:
    """Columns id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID[,selected,status,...]."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        rows = list(csv.reader(line for line in lines if line.strip() and not line.startswith("#")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _broken(path, f"cannot be read ({error})") from error
    header = dict(line[1:].replace(" ", "").split("=", 1) for line in lines if line.startswith("#") and "=" in line)
    flip = _to_ras({"coordinateSystem": header.get("CoordinateSystem", "RAS")}, path)
    points = []
    for row in rows:
        if len(row) < 12 or not row[11].strip():
            raise _broken(path, f"point {row[0]} has no label", "Name every point as in the protocol.")
        placed = len(row) < 15 or row[14] in _DEFINED or not row[14]
        position = _numbers(row[1:4], 3, f"position of {row[11]}", path) * flip if placed else None
        points.append(MarkupPoint(row[11].strip(), position, row[10] == "1", row[12] if len(row) > 12 else ""))
    return _named_by_description(points)


def _named_by_description(points: list[MarkupPoint]) -> list[MarkupPoint]:
    """Points whose label is a number and whose description is the name, as in AFIDs files, under their names.

    The descriptions of AFIDs files vary, their numbers do not.
    """
    if not points or not all(point.name.isdigit() and point.description.strip() for point in points):
        return points
    names = {int(point.name): point.description.strip() for point in points}
    if (names.get(1, "").upper(), names.get(2, "").upper()) == AFIDS[:2] and max(names) <= len(AFIDS):
        names = {number: AFIDS[number - 1] for number in names if number}
    return [replace(point, name=names.get(int(point.name), point.name), description="") for point in points]


def _to_ras(markup: Mapping[str, Any], path: Path | str) -> np.ndarray:
    """(3,) signs that turn the file's coordinates into RAS. Old files number the systems: 0 RAS, 1 LPS."""
    system = str(markup.get("coordinateSystem", "LPS")).upper()
    if system not in ("RAS", "0", "LPS", "1"):
        raise _broken(path, f"coordinate system {system} is unknown")
    units = markup.get("coordinateUnits", "mm")
    # The schema also allows a coded unit: value, coding scheme, meaning.
    if (units[0] if isinstance(units, list) and units else units) != "mm":
        raise _broken(path, f"coordinates are in {units}, not in mm")
    return np.ones(3) if system in ("RAS", "0") else RAS_LPS


def _numbers(value: Any, count: int, what: str, path: Path | str) -> np.ndarray:
    try:
        numbers = np.array(value, dtype=float)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise _broken(path, f"{what} is {str(value)[:60]!r}, not {count} finite numbers")
    if not is_sensible(numbers):
        raise _broken(path, f"{what} is {str(value)[:60]!r}, farther than {FARTHEST_MM:.0f} mm")
    return numbers


def _broken(path: Path | str, what: str, remedy: str = _REMEDY) -> InputError:
    return InputError(what, source=str(path), remedy=remedy)


def _plain(values: np.ndarray) -> list[float]:
    return [round(float(value), 9) + 0.0 for value in values]
