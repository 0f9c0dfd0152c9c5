"""Landmarks as one fiducial node: written in place, and read back with what a person moved.

Label = landmark name, description = definition and status. Slicer has two colours for the points of a
node, chosen by each point's "selected" state: selected points are sure, unselected ones want a look (low
confidence, or in contradiction to the others). A missing landmark keeps a point without a place, ready to be placed.

A move is told by comparing the points with the calibration that was written, so it does not matter how a point
came where it is: dragged, undone, set by a script. The node remembers the predictions (``RECORD_ATTRIBUTE``), which
can be restored without anything but the node. Points are known by their ids: renaming one changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from ..core.anatomy.landmark import CORRECTED, MISSING, Landmark
from ..core.errors import InputError
from ..core.geometry.coordinates import swap_ras_lps
from ..core.planning.checks import CLEAR_CONFIDENCE
from ..core.planning.scanner_conventions import side_text
from ..core.report.style import confidence_colour
from ..core.storage.markups import landmark_description
from ..core.workflow.calibration import Calibration

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
    """What the node remembers of one landmark.

    Attributes:
        id: of its control point.
        predicted: RAS mm, None where the model saw none.
        locked_at: where the point lay when it was locked as corrected; the lock is a person's from then on.
    """

    id: str
    predicted: _Place | None
    locked_at: _Place | None


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
    descriptions = _descriptions(calibration)
    modifying = node.StartModify()
    record = {}
    for mark in calibration.landmarks:
        known = before.get(mark.name)
        index = _require_point(node, mark.name, known)
        if node.GetNthControlPointLabel(index) != mark.name:
            node.SetNthControlPointLabel(index, mark.name)
        node.SetNthControlPointDescription(index, descriptions[mark.name])
        node.SetNthControlPointSelected(index, not _is_doubtful(mark, calibration))
        _put(node, index, _plain(mark.position_mm))
        locked_at = _write_lock(node, index, mark, known, dragging)
        record[mark.name] = _Record(
            node.GetNthControlPointID(index),
            _plain(predicted.get(mark.name)),
            locked_at,
        )
    _remove_points(node, [before[name].id for name in before if name not in record])
    if record != before:
        node.SetAttribute(RECORD_ATTRIBUTE, json.dumps({key: vars(entry) for key, entry in record.items()}))
    node.EndModify(modifying)
    return node


def moved_points(node: slicer.vtkMRMLMarkupsFiducialNode, calibration: Calibration) -> dict[str, _Place | None]:
    """Landmark name -> RAS mm of every point that is not where ``calibration`` has it; None: cleared or deleted."""
    record = _read_record(node)
    moved = {}
    for mark in calibration.landmarks:
        place = _place(node, _find_point(node, mark.name, record.get(mark.name)))
        if not _same(place, _plain(mark.position_mm)):
            moved[mark.name] = place
    return moved


def wants_refit(node: slicer.vtkMRMLMarkupsFiducialNode, calibration: Calibration) -> bool:
    """Whether a point was moved since ``calibration``, or a correction waits for its lock since it was dragged."""
    record = _read_record(node)
    return bool(moved_points(node, calibration)) or any(
        mark.status == CORRECTED and not _same(record[mark.name].locked_at, _plain(mark.position_mm))
        for mark in calibration.landmarks
        if mark.name in record
    )


def landmarks_from_node(node: slicer.vtkMRMLMarkupsFiducialNode, calibration: Calibration) -> tuple[Landmark, ...]:
    """The landmarks of ``calibration`` with what a person did to the points since.

    A moved or placed point is corrected, one that lies where it was predicted is that prediction again
    (an undone move), a cleared or deleted one is missing.
    """
    landmarks = {mark.name: mark for mark in calibration.landmarks}
    predicted = {mark.name: mark for mark in calibration.predicted}
    for name, place in moved_points(node, calibration).items():
        landmarks[name] = _as_placed(landmarks[name], predicted.get(name, Landmark(name)), place)
    return tuple(landmarks.values())


def restore_prediction(node: slicer.vtkMRMLMarkupsFiducialNode, name: str | None = None) -> None:
    """Put one point, or all of them, back to where the model saw it; to no place where it saw none.

    Raises:
        InputError: the node has no landmark of that name.
    """
    record = _read_record(node) if name is None else _record_with(node, name)
    modifying = node.StartModify()
    for key in record if name is None else [name]:
        _put(node, _require_point(node, key, record[key]), record[key].predicted)
    node.EndModify(modifying)


def make_ready_to_place(node: slicer.vtkMRMLMarkupsFiducialNode, name: str) -> None:
    """Take a point's place away, so that place mode places this point next.

    Raises:
        InputError: the node has no landmark of that name.
    """
    record = _record_with(node, name)
    index = _require_point(node, name, record[name])
    node.UnsetNthControlPointPosition(index)
    node.SetControlPointPlacementStartIndex(index)


def _new_node(scene: slicer.vtkMRMLScene, name: str) -> slicer.vtkMRMLMarkupsFiducialNode:
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSelectedColor(SURE_COLOR)
    display.SetColor(DOUBTFUL_COLOR)
    display.SetGlyphScale(GLYPH_SCALE)
    display.SetTextScale(TEXT_SCALE)
    return node


def _find_point(node: slicer.vtkMRMLMarkupsFiducialNode, name: str, entry: _Record | None) -> int:
    """Index of the landmark's control point by its id, else by its label; -1 where there is none."""
    index = node.GetNthControlPointIndexByID(entry.id) if entry else -1
    return index if index >= 0 else node.GetControlPointIndexByLabel(name)


def _require_point(node: slicer.vtkMRMLMarkupsFiducialNode, name: str, entry: _Record | None) -> int:
    """Index of the landmark's control point, which is added without a place where there is none.

    Then the number of points is fixed: they are landmarks, so a person can clear one, but not delete or add one.
    """
    index = _find_point(node, name, entry)
    if index < 0:
        node.SetFixedNumberOfControlPoints(False)
        index = node.AddControlPoint(vtk.vtkVector3d(0.0, 0.0, 0.0), name)
        node.SetNthControlPointPositionMissing(index)
        node.SetFixedNumberOfControlPoints(True)
    return index


def _remove_points(node: slicer.vtkMRMLMarkupsFiducialNode, ids: list[str]) -> None:
    """Remove the points of another anatomy, which the node showed before."""
    if not ids:
        return
    node.SetFixedNumberOfControlPoints(False)
    for point in ids:
        index = node.GetNthControlPointIndexByID(point)
        if index >= 0:
            node.RemoveNthControlPoint(index)
    node.SetFixedNumberOfControlPoints(True)


def _write_lock(
    node: slicer.vtkMRMLMarkupsFiducialNode, index: int, mark: Landmark, known: _Record | None, dragging: bool
) -> _Place | None:
    """Lock a point that was corrected, unlock one that no longer is; gives the place for which that was done last.

    A point that a person unlocked stays unlocked until it moves.
    """
    wanted = _plain(mark.position_mm) if mark.status == CORRECTED else None
    locked_at = known.locked_at if known else None
    if dragging or _same(wanted, locked_at):
        return locked_at
    node.SetNthControlPointLocked(index, wanted is not None)
    return wanted


def _descriptions(calibration: Calibration) -> dict[str, str]:
    """Landmark name -> definition and what is known of it."""
    definitions = {entry.name: entry.definition for entry in calibration.protocol.constellation.landmarks}
    found = {mark.name for mark in calibration.predicted if mark.status != MISSING}
    texts = {}
    for mark in calibration.landmarks:
        text = landmark_description(mark, definitions)
        if mark.status == MISSING:
            if mark.name in found:
                text = f"{definitions.get(mark.name, '')} [missing: removed by a person]".strip()
            expected = calibration.frame.expected_mm.get(mark.name)
            if expected is not None:
                text += f" [expected at {side_text(swap_ras_lps(expected))} mm]"
        elif mark.name in calibration.frame.outliers:
            text += " [contradicts the other points]"
        texts[mark.name] = text
    return texts


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


def _read_record(node: slicer.vtkMRMLMarkupsFiducialNode) -> dict[str, _Record]:
    entries = json.loads(node.GetAttribute(RECORD_ATTRIBUTE) or "{}")
    return {
        name: _Record(entry["id"], _tuple(entry["predicted"]), _tuple(entry["locked_at"]))
        for name, entry in entries.items()
    }


def _record_with(node: slicer.vtkMRMLMarkupsFiducialNode, name: str) -> dict[str, _Record]:
    record = _read_record(node)
    if name not in record:
        raise InputError(f"has no landmark {name}", source=node.GetName(), remedy="Choose one of its points.")
    return record


def _tuple(values: list[float] | None) -> _Place | None:
    return None if values is None else tuple(values)
