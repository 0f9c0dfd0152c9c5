"""Landmarks as one fiducial node: written in place, and read back with what a person moved.

Label = landmark name, description = definition and status. Slicer has two colours for the points of a
node, chosen by each point's "selected" state: selected points are sure, unselected ones want a look (low
confidence, or in contradiction to the others). A missing landmark keeps a point without a place, ready to be placed.

The node remembers where every point was written and predicted (``RECORD_ATTRIBUTE``), so a move is told by
comparison, also after the scene was saved, and a prediction can be restored without anything but the node.
Points are known by their ids: renaming one changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import slicer

from ..core.calibration import Calibration
from ..core.checks import CLEAR_CONFIDENCE
from ..core.coordinates import swap_ras_lps
from ..core.errors import InputError
from ..core.landmarks import CORRECTED, MISSING, Landmark
from ..core.markups_json import landmark_description
from ..core.overview_style import confidence_colour
from ..core.scanner_terms import side_text

RECORD_ATTRIBUTE = "AutoVolume.Landmarks"

#: A point that lies no further than this from where it was written was not moved by a person.
MOVED_MM = 0.01

#: Below this confidence a point is shown in the colour of doubt (as the checks ask for a look).
DOUBTFUL_CONFIDENCE = CLEAR_CONFIDENCE / 2

SURE_COLOR, DOUBTFUL_COLOR = confidence_colour(1.0), confidence_colour(0.0)

#: Size of points and names, percent of the view.
GLYPH_SCALE, TEXT_SCALE = 2.0, 2.5

_Place = tuple[float, float, float]


@dataclass(frozen=True)
class _Record:
    """What was last written for one landmark.

    Attributes:
        id: of the control point.
        written, predicted: RAS mm, None for no place.
        corrected: it was written as corrected.
        lock: the lock that was last set on the point; it is a person's from then on.
    """

    id: str
    written: _Place | None
    predicted: _Place | None
    corrected: bool
    lock: bool


def write_landmarks(
    scene: slicer.vtkMRMLScene,
    node: slicer.vtkMRMLMarkupsFiducialNode | None,
    calibration: Calibration,
    name: str,
    *,
    dragging: bool = False,
) -> slicer.vtkMRMLMarkupsFiducialNode:
    """Show the landmarks of ``calibration`` in ``node``, or in a new node called ``name``; gives the node.

    Points of the node that are no landmark of ours stay as they are.

    Args:
        dragging: a person holds a point, which must not be locked under the mouse: locks are set later.
    """
    if node is None:
        node = _new_node(scene, name)
    before = _read_record(node)
    predicted = {mark.name: mark.position_mm for mark in calibration.predicted}
    modifying = node.StartModify()
    node.SetFixedNumberOfControlPoints(False)
    record = {}
    for mark in calibration.landmarks:
        index = _point_index(node, mark.name, before.get(mark.name))
        lock = _write_point(node, index, mark, calibration, before.get(mark.name), dragging)
        record[mark.name] = _Record(
            node.GetNthControlPointID(index),
            _plain(mark.position_mm),
            _plain(predicted.get(mark.name)),
            mark.status == CORRECTED,
            lock,
        )
    # Points are landmarks: none can be added or deleted, but every one can be cleared.
    node.SetFixedNumberOfControlPoints(True)
    if record != before:
        node.SetAttribute(RECORD_ATTRIBUTE, json.dumps({key: asdict(entry) for key, entry in record.items()}))
    node.EndModify(modifying)
    return node


def moved_points(node: slicer.vtkMRMLMarkupsFiducialNode) -> dict[str, np.ndarray | None]:
    """Landmark name -> (3,) RAS of every point that a person moved or placed since it was written; None: cleared."""
    moved = {}
    for name, entry in _read_record(node).items():
        place = _place(node, node.GetNthControlPointIndexByID(entry.id))
        if not _same(place, entry.written):
            moved[name] = place
    return moved


def wants_refit(node: slicer.vtkMRMLMarkupsFiducialNode) -> bool:
    """Whether a point was moved, or a correction waits for its lock since it was dragged."""
    return bool(moved_points(node)) or any(entry.corrected != entry.lock for entry in _read_record(node).values())


def landmarks_from_node(
    node: slicer.vtkMRMLMarkupsFiducialNode, calibration: Calibration
) -> tuple[Landmark, ...]:
    """The landmarks of ``calibration`` with what a person did to the points since.

    A moved or placed point is corrected, one that lies where it was predicted is that prediction again
    (an undone move), a cleared or deleted one is missing.
    """
    moved = moved_points(node)
    predicted = {mark.name: mark for mark in calibration.predicted}
    return tuple(
        _as_placed(mark, predicted.get(mark.name, Landmark(mark.name)), moved[mark.name]) if mark.name in moved else mark
        for mark in calibration.landmarks
    )


def restore_prediction(node: slicer.vtkMRMLMarkupsFiducialNode, name: str | None = None) -> None:
    """Put one point, or all of them, back to where the model saw it; to no place where it saw none.

    Raises:
        InputError: the node has no landmark of that name.
    """
    record = _read_record(node)
    if name is not None and name not in record:
        raise InputError(f"has no landmark {name}", source=node.GetName(), remedy="Choose one of its points.")
    modifying = node.StartModify()
    for entry in record.values() if name is None else [record[name]]:
        index = node.GetNthControlPointIndexByID(entry.id)
        if index >= 0:
            _put(node, index, entry.predicted)
    node.EndModify(modifying)


def _new_node(scene: slicer.vtkMRMLScene, name: str) -> slicer.vtkMRMLMarkupsFiducialNode:
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSelectedColor(SURE_COLOR)
    display.SetColor(DOUBTFUL_COLOR)
    display.SetGlyphScale(GLYPH_SCALE)
    display.SetTextScale(TEXT_SCALE)
    return node


def _point_index(node: slicer.vtkMRMLMarkupsFiducialNode, name: str, entry: _Record | None) -> int:
    """Index of the landmark's control point, which is added where there is none."""
    index = node.GetNthControlPointIndexByID(entry.id) if entry else node.GetControlPointIndexByLabel(name)
    if index < 0:
        index = node.AddControlPoint(0.0, 0.0, 0.0)
        node.SetNthControlPointPositionMissing(index)
    return index


def _write_point(
    node: slicer.vtkMRMLMarkupsFiducialNode,
    index: int,
    mark: Landmark,
    calibration: Calibration,
    before: _Record | None,
    dragging: bool,
) -> bool:
    """Write what differs; gives the lock that was set last."""
    if node.GetNthControlPointLabel(index) != mark.name:
        node.SetNthControlPointLabel(index, mark.name)
    node.SetNthControlPointDescription(index, _description(mark, calibration))
    selected = not _is_doubtful(mark, calibration)
    if bool(node.GetNthControlPointSelected(index)) != selected:
        node.SetNthControlPointSelected(index, selected)
    _put(node, index, _plain(mark.position_mm))
    corrected = mark.status == CORRECTED
    moved = before is not None and not _same(_plain(mark.position_mm), before.written)
    lock = before.lock if before else False
    if dragging:
        return lock and not moved
    if corrected != lock or moved:
        node.SetNthControlPointLocked(index, corrected)
    return corrected


def _description(mark: Landmark, calibration: Calibration) -> str:
    definitions = {entry.name: entry.definition for entry in calibration.protocol.constellation.landmarks}
    if mark.status != MISSING:
        text = landmark_description(mark, definitions)
        return f"{text} [contradicts the other points]" if mark.name in calibration.frame.outliers else text
    if any(other.name == mark.name and other.status != MISSING for other in calibration.predicted):
        text = f"{definitions.get(mark.name, '')} [missing: removed by a person]".strip()
    else:
        text = landmark_description(mark, definitions)
    expected = calibration.frame.expected_mm.get(mark.name)
    return text if expected is None else f"{text} [expected at {side_text(swap_ras_lps(expected))} mm]"


def _is_doubtful(mark: Landmark, calibration: Calibration) -> bool:
    return mark.name in calibration.frame.outliers or mark.confidence < DOUBTFUL_CONFIDENCE


def _as_placed(mark: Landmark, predicted: Landmark, place: _Place | None) -> Landmark:
    if _same(place, _plain(predicted.position_mm)):
        return predicted
    return Landmark(mark.name) if place is None else mark.corrected(np.array(place))


def _place(node: slicer.vtkMRMLMarkupsFiducialNode, index: int) -> _Place | None:
    """World position of a point; None where it has none (missing, not yet placed, previewed, deleted)."""
    if index < 0 or node.GetNthControlPointPositionStatus(index) != node.PositionDefined:
        return None
    return node.GetNthControlPointPositionWorld(index)


def _put(node: slicer.vtkMRMLMarkupsFiducialNode, index: int, place: _Place | None) -> None:
    """Move a point where it is not there already. A point without a place that is about to be placed is left alone."""
    now = _place(node, index)
    if _same(now, place):
        return
    if place is None:
        node.SetNthControlPointPositionMissing(index)
    else:
        node.SetNthControlPointPositionWorld(index, *place)


def _same(a: _Place | None, b: _Place | None) -> bool:
    if a is None or b is None:
        return a is b
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) <= MOVED_MM


def _plain(position_mm: np.ndarray | None) -> _Place | None:
    return None if position_mm is None else tuple(float(value) for value in position_mm)


def _read_record(node: slicer.vtkMRMLMarkupsFiducialNode) -> Mapping[str, _Record]:
    entries: dict[str, dict[str, Any]] = json.loads(node.GetAttribute(RECORD_ATTRIBUTE) or "{}")
    return {name: _record(**entry) for name, entry in entries.items()}


def _record(id: str, written: list | None, predicted: list | None, corrected: bool, lock: bool) -> _Record:
    return _Record(
        id, tuple(written) if written else None, tuple(predicted) if predicted else None, corrected, lock
    )
