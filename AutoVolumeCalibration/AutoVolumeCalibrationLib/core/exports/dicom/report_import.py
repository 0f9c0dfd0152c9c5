"""A structured report of this program, back to the plan: box, landmarks, protocol and model exactly as they were."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ...files.dicom_parsing import parse_dicom, quiet_libraries
from ...geometry.coordinates import swap_ras_lps
from ...geometry.oriented_box import FACES, face_corners_mm
from ...scouts.dicom import PARSE_ERRORS
from ...storage.results import SavedCalibration
from .plan_record import plan_record, saved_plan
from .sr_codes import SCHEME

if TYPE_CHECKING:
    from pydicom import Dataset

_SR_3D = "1.2.840.10008.5.1.4.1.1.88.34"
_REMEDY = "Give a report that autovolume export --to dicom-sr wrote."

#: Coordinates in the report have 32 bits: at half a metre they are exact to 0.00003 mm.
_SAME_MM = 1e-3

#: Containers in containers: far more than TID 1500 has.
_DEEPEST = 12


def read_structured_report(path: Path) -> dict[str, Any]:
    """The plan in a report: the content of its calibration.json, without sources, study, protocol file and times.

    Raises:
        InputError: the file is not a report of this program, is damaged, or its points and polygons are not those of
            the plan that it holds, because another program changed them.
    """
    with _damage_named(str(path)):
        items = list(_items(_parsed(path), str(path)))
        record, found = _record(items, str(path)), _graphics(items)
    saved = saved_plan(record, str(path))
    expected = _expected(saved)
    differing = [name for name, points in expected.items() if not _same(found.get(name), points)]
    differing += [name for name in found if name not in expected]
    if differing:
        raise InputError(
            f"the coordinates of {differing[0]} are not those of the plan in it: another program changed the report",
            source=str(path),
            remedy="Give the report as it was exported, or correct the landmarks with autovolume refit.",
        )
    return record


@contextmanager
def _damage_named(source: str) -> Iterator[None]:
    """Turn what pydicom raises about damaged files, on opening or on access, into InputError."""
    from pydicom.errors import BytesLengthException

    try:
        with quiet_libraries():
            yield
    except (*PARSE_ERRORS, BytesLengthException) as error:
        raise InputError("the DICOM file is damaged or cut short", source=source, remedy=_REMEDY) from error


def _parsed(path: Path) -> Dataset:
    report = parse_dicom(path)
    if report.get("SOPClassUID") != _SR_3D:
        raise InputError("is not a Comprehensive 3D SR", source=str(path), remedy=_REMEDY)
    return report


def _items(node: Dataset, source: str, depth: int = 0) -> Iterator[Dataset]:
    """All content items below ``node``, parents first."""
    if depth > _DEEPEST:
        raise InputError("its content is nested too deeply", source=source, remedy=_REMEDY)
    for item in node.get("ContentSequence", None) or ():
        yield item
        yield from _items(item, source, depth + 1)


def _concept(item: Dataset) -> tuple[str, str]:
    """(scheme, value) of the concept name of an item."""
    for code in item.get("ConceptNameCodeSequence", None) or ():
        return str(code.get("CodingSchemeDesignator", "")), str(code.get("CodeValue", ""))
    return "", ""


def _record(items: list[Dataset], source: str) -> dict[str, Any]:
    texts = [str(item.get("TextValue", "")) for item in items if _concept(item) == (SCHEME, "RECORD")]
    try:
        (text,) = texts
        record = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError("does not hold a plan of this program", source=source, remedy=_REMEDY) from error
    if not isinstance(record, dict):
        raise InputError("does not hold a plan of this program", source=source, remedy=_REMEDY)
    return plan_record(record)  # again: a report from elsewhere names no files here


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def _graphics(items: list[Dataset]) -> dict[str, np.ndarray]:
    """Tracking identifier of each measurement group with a region -> its RAS points (n, 3)."""
    found = {}
    for group in items:
        children = list(group.get("ContentSequence", None) or ())
        names = [str(child.get("TextValue", "")) for child in children if _concept(child) == ("DCM", "112039")]
        regions = [child for child in children if child.get("ValueType") == "SCOORD3D"]
        if names and regions:
            data = np.asarray(regions[0].get("GraphicData", []), dtype=float)
            found[names[0]] = swap_ras_lps(data[: len(data) // 3 * 3].reshape(-1, 3))
    return found


def _expected(saved: SavedCalibration) -> Mapping[str, np.ndarray]:
    """What the plan has under the same names."""
    points = {f"landmark {one.name}": one.position_mm[None] for one in saved.landmarks if one.position_mm is not None}
    for face in FACES:
        corners = face_corners_mm(saved.box, face)
        points[f"face {face}"] = np.vstack([corners, corners[:1]])
    return points


def _same(found: np.ndarray | None, points: np.ndarray) -> bool:
    return found is not None and found.shape == points.shape and bool(np.abs(found - points).max() <= _SAME_MM)
