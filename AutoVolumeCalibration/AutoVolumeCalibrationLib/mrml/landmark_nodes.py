"""Landmarks as one fiducial node: updated in position, and read back with the user's corrections.

Label = landmark name, description = definition and status. Slicer has two colours for the points of a
node, chosen by each point's "selected" state: selected points are certain, unselected ones need a review
(low confidence, or in contradiction to the others). A missing landmark keeps a point without a position, ready to
be placed.

A move is found by comparing the points with the calibration that was written, so it does not matter what moved a
point: the mouse, undo, a script. The node stores the predictions (``RECORD_ATTRIBUTE``), so that they can be restored
from the node alone. Points are identified by their ids: renaming one changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from ..core.anatomy.landmark import CORRECTED, MISSING, Landmark
from ..core.errors import InputError
from ..core.geometry.coordinates import swap_ras_lps
from ..core.planning.scanner_conventions import side_text
from ..core.report.style import confidence_colour
from ..core.storage.markups import landmark_description
from ..core.workflow.calibration import Calibration
from .slice_under_mouse import SlicePlane

RECORD_ATTRIBUTE = "AutoVolume.Landmarks"

#: A point that lies no further than this from where it was written was not moved by the user.
MOVED_MM = 0.01

SURE_COLOR, DOUBTFUL_COLOR = confidence_colour(1.0), confidence_colour(0.0)

#: Of the point under the mouse: Slicer's own is a green that looks like a status.
UNDER_MOUSE_COLOR = (1.0, 1.0, 1.0)

#: Size of points and names, percent of the view.
GLYPH_SCALE, TEXT_SCALE = 2.0, 2.5

#: RAS mm.
_Position = tuple[float, float, float]


@dataclass(frozen=True)
class _Record:
    """What the node stores about one landmark.

    Attributes:
        id: of its control point.
        predicted: RAS mm, None where the model found none.
        locked_at: where the point lay when it was locked as corrected; from then on the lock is the user's.
    """

    id: str
    predicted: _Position | None
    locked_at: _Position | None


def write_landmarks(
    scene: slicer.vtkMRMLScene,
    node: slicer.vtkMRMLMarkupsFiducialNode | None,
    calibration: Calibration,
    name: str,
    *,
    dragging: bool = False,
) -> slicer.vtkMRMLMarkupsFiducialNode:
    """Show the landmarks of ``calibration`` in ``node``, or in a new node called ``name``; gives the node.

    Points of the node that are not landmarks of the protocol stay as they are.

    Args:
        dragging: the user holds a point, which must not be locked under the mouse: locks are set later.
    """
    if node is None:
        node = _new_node(scene, name)
    before = _read_record(node)
    predicted = {landmark.name: landmark.position_mm for landmark in calibration.predicted}
    descriptions = _descriptions(calibration)
    modifying = node.StartModify()
    record = {}
    for landmark in calibration.landmarks:
        known = before.get(landmark.name)
        index = _require_point(node, landmark.name, known)
        if node.GetNthControlPointLabel(index) != landmark.name:
            node.SetNthControlPointLabel(index, landmark.name)
        node.SetNthControlPointDescription(index, descriptions[landmark.name])
        node.SetNthControlPointSelected(index, not is_uncertain(landmark, calibration))
        _put(node, index, _plain(landmark.position_mm))
        locked_at = _write_lock(node, index, landmark, known, dragging)
        record[landmark.name] = _Record(
            node.GetNthControlPointID(index),
            _plain(predicted.get(landmark.name)),
            locked_at,
        )
    _remove_points(node, [before[name].id for name in before if name not in record])
    if record != before:
        node.SetAttribute(RECORD_ATTRIBUTE, json.dumps({key: vars(entry) for key, entry in record.items()}))
    node.EndModify(modifying)
    return node


def moved_points(node: slicer.vtkMRMLMarkupsFiducialNode, calibration: Calibration) -> dict[str, _Position | None]:
    """Landmark name -> RAS mm of every point that is not where ``calibration`` has it; None: cleared or deleted."""
    record = _read_record(node)
    moved = {}
    for landmark in calibration.landmarks:
        position = _position(node, _find_point(node, landmark.name, record.get(landmark.name)))
        if not _same(position, _plain(landmark.position_mm)):
            moved[landmark.name] = position
    return moved


def wants_refit(node: slicer.vtkMRMLMarkupsFiducialNode, calibration: Calibration) -> bool:
    """Whether a point was moved since ``calibration``, or a correction waits for its lock since it was dragged."""
    record = _read_record(node)
    return bool(moved_points(node, calibration)) or any(
        landmark.status == CORRECTED and not _same(record[landmark.name].locked_at, _plain(landmark.position_mm))
        for landmark in calibration.landmarks
        if landmark.name in record
    )


def landmarks_from_node(
    node: slicer.vtkMRMLMarkupsFiducialNode, calibration: Calibration, plane: SlicePlane | None = None
) -> tuple[Landmark, ...]:
    """The landmarks of ``calibration`` with what the user did to the points since.

    A moved or placed point is corrected, one that lies where it was predicted is that prediction again
    (an undone move), a cleared or deleted one is missing.

    Args:
        plane: the slice in which the user drags or places points; a moved point that lies in it keeps its depth.
    """
    landmarks = {landmark.name: landmark for landmark in calibration.landmarks}
    predicted = {landmark.name: landmark for landmark in calibration.predicted}
    for name, position in moved_points(node, calibration).items():
        landmarks[name] = _as_placed(landmarks[name], predicted.get(name, Landmark(name)), position, plane)
    return tuple(landmarks.values())


def restore_prediction(node: slicer.vtkMRMLMarkupsFiducialNode, name: str | None = None) -> None:
    """Move one point, or all of them, back to the model's prediction; clear those without one.

    Raises:
        InputError: the node has no landmark of that name.
    """
    record = _read_record(node) if name is None else _record_with(node, name)
    modifying = node.StartModify()
    for key in record if name is None else [name]:
        _put(node, _require_point(node, key, record[key]), record[key].predicted)
    node.EndModify(modifying)


def make_ready_to_place(node: slicer.vtkMRMLMarkupsFiducialNode, name: str) -> None:
    """Clear a point's position, so that place mode places this point next.

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
    display.SetActiveColor(UNDER_MOUSE_COLOR)
    display.SetGlyphScale(GLYPH_SCALE)
    display.SetTextScale(TEXT_SCALE)
    return node


def _find_point(node: slicer.vtkMRMLMarkupsFiducialNode, name: str, entry: _Record | None) -> int:
    """Index of the landmark's control point by its id, else by its label; -1 where there is none."""
    index = node.GetNthControlPointIndexByID(entry.id) if entry else -1
    return index if index >= 0 else node.GetControlPointIndexByLabel(name)


def _require_point(node: slicer.vtkMRMLMarkupsFiducialNode, name: str, entry: _Record | None) -> int:
    """Index of the landmark's control point, which is added without a position where there is none.

    Then the number of points is fixed: they are landmarks, so the user can clear one, but not delete or add one.
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
    node: slicer.vtkMRMLMarkupsFiducialNode, index: int, landmark: Landmark, known: _Record | None, dragging: bool
) -> _Position | None:
    """Lock a point that was corrected, unlock one that no longer is; gives the position for which that was done last.

    A point that the user unlocked stays unlocked until it moves.
    """
    wanted = _plain(landmark.position_mm) if landmark.status == CORRECTED else None
    locked_at = known.locked_at if known else None
    if dragging or _same(wanted, locked_at):
        return locked_at
    node.SetNthControlPointLocked(index, wanted is not None)
    return wanted


def _descriptions(calibration: Calibration) -> dict[str, str]:
    """Landmark name -> definition and status."""
    definitions = {entry.name: entry.definition for entry in calibration.protocol.constellation.landmarks}
    found = {landmark.name for landmark in calibration.predicted if landmark.status != MISSING}
    texts = {}
    for landmark in calibration.landmarks:
        text = landmark_description(landmark, definitions)
        if landmark.status == MISSING:
            if landmark.name in found:
                text = f"{definitions.get(landmark.name, '')} [missing: removed by the user]".strip()
            expected = calibration.frame.expected_mm.get(landmark.name)
            if expected is not None:
                text += f" [expected at {side_text(swap_ras_lps(expected))} mm]"
        elif landmark.name in calibration.frame.outliers:
            text += " [contradicts the other points]"
        texts[landmark.name] = text
    return texts


def is_uncertain(landmark: Landmark, calibration: Calibration) -> bool:
    """Whether the point needs a review: low confidence, or in contradiction to the others. It decides the colour."""
    return landmark.name in calibration.frame.outliers or landmark.confidence < calibration.limits.doubtful_peak


def _as_placed(
    landmark: Landmark, predicted: Landmark, position: _Position | None, plane: SlicePlane | None
) -> Landmark:
    if _same(position, _plain(predicted.position_mm)):
        return predicted
    if position is None:
        return Landmark(landmark.name)
    if plane is None or not plane.holds(np.array(position)):
        return landmark.corrected(np.array(position))
    placed = landmark.corrected_in_plane(np.array(position), plane.normal)
    return predicted if _same(_plain(placed.position_mm), _plain(predicted.position_mm)) else placed


def _position(node: slicer.vtkMRMLMarkupsFiducialNode, index: int) -> _Position | None:
    """World position of a point; None where it has none (missing, not yet placed, previewed, deleted)."""
    if index < 0 or node.GetNthControlPointPositionStatus(index) != node.PositionDefined:
        return None
    return node.GetNthControlPointPositionWorld(index)


def _put(node: slicer.vtkMRMLMarkupsFiducialNode, index: int, position: _Position | None) -> None:
    """Move a point where it is not there already. A point that is about to be placed is left alone."""
    now = _position(node, index)
    if _same(now, position):
        return
    if position is None:
        node.SetNthControlPointPositionMissing(index)
    else:
        node.SetNthControlPointPositionWorld(index, *position)


def _same(a: _Position | None, b: _Position | None) -> bool:
    if a is None or b is None:
        return a is b
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) <= MOVED_MM


def _plain(position_mm: Iterable[float] | None) -> _Position | None:
    """Three plain numbers, as JSON and VTK need them."""
    if position_mm is None:
        return None
    x, y, z = (float(value) for value in position_mm)
    return x, y, z


def _read_record(node: slicer.vtkMRMLMarkupsFiducialNode) -> dict[str, _Record]:
    entries = json.loads(node.GetAttribute(RECORD_ATTRIBUTE) or "{}")
    return {
        name: _Record(entry["id"], _plain(entry["predicted"]), _plain(entry["locked_at"]))
        for name, entry in entries.items()
    }


def _record_with(node: slicer.vtkMRMLMarkupsFiducialNode, name: str) -> dict[str, _Record]:
    record = _read_record(node)
    if name not in record:
        raise InputError(f"has no landmark {name}", source=node.GetName(), remedy="Choose one of its points.")
    return record
