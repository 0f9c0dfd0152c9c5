"""Landmarks as one fiducial node: what is written, and what a person did to it since."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED, MISSING, PREDICTED
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.workflow.pipeline import refit

pytest.importorskip("slicer")

from AutoVolumeCalibrationLib.mrml.landmark_nodes import (
    landmarks_from_node,
    make_ready_to_place,
    moved_points,
    restore_prediction,
    wants_refit,
    write_landmarks,
)

FAINT, NOT_FOUND = "SPLE", "GENU"


@pytest.fixture
def node(scene, plan):
    return write_landmarks(scene, None, plan, "S Landmarks")


def index_of(node, name):
    index = node.GetControlPointIndexByLabel(name)
    assert index >= 0
    return index


def move(node, name, by=(4.0, 0.0, 0.0)):
    index = index_of(node, name)
    place = np.add(node.GetNthControlPointPositionWorld(index), by)
    node.SetNthControlPointPositionWorld(index, *place)
    return place


def named(landmarks):
    return {mark.name: mark for mark in landmarks}


def ids(node):
    return [node.GetNthControlPointID(i) for i in range(node.GetNumberOfControlPoints())]


def test_every_landmark_is_a_point_with_its_name_place_and_definition(node, plan):
    assert node.GetNumberOfControlPoints() == len(plan.landmarks)
    definitions = {entry.name: entry.definition for entry in plan.protocol.constellation.landmarks}
    for mark in plan.landmarks:
        index = index_of(node, mark.name)
        text = node.GetNthControlPointDescription(index)
        assert text.startswith(definitions[mark.name])
        assert mark.status in text
        if mark.status == PREDICTED:
            assert node.GetNthControlPointPositionWorld(index) == pytest.approx(mark.position_mm)
            assert not node.GetNthControlPointLocked(index)


def test_a_missing_landmark_has_a_point_without_a_place_that_says_where_it_is_expected(node, plan):
    index = index_of(node, NOT_FOUND)
    assert node.GetNthControlPointPositionStatus(index) == node.PositionMissing
    expected = plan.frame.expected_mm[NOT_FOUND]
    assert f"expected at {'R' if expected[0] > 0 else 'L'} {abs(expected[0]):.1f}, A" in (
        node.GetNthControlPointDescription(index)
    )


def test_colour_tells_the_sure_points_from_those_that_want_a_look(scene, plan):
    frame = replace(plan.frame, outliers=("AC",))
    node = write_landmarks(scene, None, replace(plan, frame=frame), "x")
    unsure = {mark.name for mark in plan.landmarks if not node.GetNthControlPointSelected(index_of(node, mark.name))}
    assert unsure == {"AC", FAINT, NOT_FOUND}
    assert "contradicts" in node.GetNthControlPointDescription(index_of(node, "AC"))
    display = node.GetDisplayNode()
    assert display.GetSelectedColor() != display.GetColor()


def test_what_was_written_reads_back_as_it_was(node, plan):
    assert moved_points(node, plan) == {}
    assert not wants_refit(node, plan)
    assert landmarks_from_node(node, plan) == plan.landmarks


def test_a_moved_point_is_a_correction_and_no_other_is(node, plan):
    place = move(node, "AC")
    assert list(moved_points(node, plan)) == ["AC"]
    found = named(landmarks_from_node(node, plan))
    assert found["AC"].status == CORRECTED
    assert found["AC"].position_mm == pytest.approx(place)
    assert {mark.status for name, mark in found.items() if name not in ("AC", NOT_FOUND)} == {PREDICTED}


def test_hiding_selecting_renaming_locking_and_describing_are_no_corrections(node, plan):
    index = index_of(node, "AC")
    node.SetNthControlPointVisibility(index, False)
    node.SetNthControlPointSelected(index, False)
    node.SetNthControlPointLocked(index, True)
    node.SetNthControlPointDescription(index, "here")
    node.SetNthControlPointLabel(index, "mine")
    assert not wants_refit(node, plan)
    write_landmarks(node.GetScene(), node, plan, "x")
    assert node.GetNthControlPointLabel(index) == "AC"
    assert node.GetNthControlPointLocked(index)


def test_a_missing_point_that_is_placed_is_a_correction(node, plan):
    make_ready_to_place(node, NOT_FOUND)
    index = index_of(node, NOT_FOUND)
    assert node.GetNthControlPointPositionStatus(index) == node.PositionUndefined
    assert node.GetControlPointPlacementStartIndex() == index
    assert not wants_refit(node, plan)
    node.SetNthControlPointPositionWorld(index, 1.0, 40.0, 12.0)
    found = named(landmarks_from_node(node, plan))[NOT_FOUND]
    assert found.status == CORRECTED
    assert found.position_mm == pytest.approx([1.0, 40.0, 12.0])


def test_a_point_that_waits_for_its_place_is_not_declared_missing_again(node, plan):
    make_ready_to_place(node, NOT_FOUND)
    write_landmarks(node.GetScene(), node, plan, "x")
    assert node.GetNthControlPointPositionStatus(index_of(node, NOT_FOUND)) == node.PositionUndefined


def test_a_cleared_point_is_missing_until_it_is_restored(node, plan):
    node.UnsetNthControlPointPosition(index_of(node, "PC"))
    landmarks = landmarks_from_node(node, plan)
    assert named(landmarks)["PC"].status == MISSING
    cleared = refit(plan, landmarks)
    write_landmarks(node.GetScene(), node, cleared, "x")
    assert "removed by the user" in node.GetNthControlPointDescription(index_of(node, "PC"))
    restore_prediction(node, "PC")
    assert named(landmarks_from_node(node, cleared))["PC"] is named(plan.predicted)["PC"]


def test_a_deleted_point_is_missing_and_gets_a_place_holder(node, plan):
    node.SetFixedNumberOfControlPoints(False)
    node.RemoveNthControlPoint(index_of(node, "PC"))
    landmarks = landmarks_from_node(node, plan)
    assert named(landmarks)["PC"].status == MISSING
    without = refit(plan, landmarks)
    write_landmarks(node.GetScene(), node, without, "x")
    assert node.GetNthControlPointPositionStatus(index_of(node, "PC")) == node.PositionMissing
    assert not wants_refit(node, without)


def test_points_cannot_be_deleted_or_added_by_accident(node):
    assert node.GetFixedNumberOfControlPoints()


def test_a_corrected_point_is_locked_and_unlocked_again_by_its_restoration(node, plan):
    move(node, "AC")
    corrected = refit(plan, landmarks_from_node(node, plan))
    write_landmarks(node.GetScene(), node, corrected, "x")
    assert node.GetNthControlPointLocked(index_of(node, "AC"))
    assert "[corrected]" in node.GetNthControlPointDescription(index_of(node, "AC"))
    restore_prediction(node)
    restored = landmarks_from_node(node, corrected)
    assert restored == plan.predicted
    write_landmarks(node.GetScene(), node, refit(corrected, restored), "x")
    assert not node.GetNthControlPointLocked(index_of(node, "AC"))


def test_a_point_is_not_locked_under_the_mouse(node, plan):
    for step in range(3):
        move(node, "AC", (1.0, 0.0, 0.0))
        plan = refit(plan, landmarks_from_node(node, plan))
        write_landmarks(node.GetScene(), node, plan, "x", dragging=True)
        assert not node.GetNthControlPointLocked(index_of(node, "AC")), step
    assert moved_points(node, plan) == {}
    assert wants_refit(node, plan)
    write_landmarks(node.GetScene(), node, plan, "x")
    assert node.GetNthControlPointLocked(index_of(node, "AC"))
    assert not wants_refit(node, plan)


def test_a_point_that_a_person_unlocked_stays_so_until_it_moves(node, plan):
    move(node, "AC")
    plan = refit(plan, landmarks_from_node(node, plan))
    write_landmarks(node.GetScene(), node, plan, "x")
    node.SetNthControlPointLocked(index_of(node, "AC"), False)
    move(node, "PC")
    plan = refit(plan, landmarks_from_node(node, plan))
    write_landmarks(node.GetScene(), node, plan, "x")
    assert not node.GetNthControlPointLocked(index_of(node, "AC"))
    move(node, "AC")
    write_landmarks(node.GetScene(), node, refit(plan, landmarks_from_node(node, plan)), "x")
    assert node.GetNthControlPointLocked(index_of(node, "AC"))


def test_writing_again_keeps_node_and_points_and_fires_nothing(scene, node, plan):
    before, events = ids(node), []
    for event in ("ModifiedEvent", node.PointModifiedEvent, node.PointAddedEvent):
        node.AddObserver(event, lambda *_: events.append(1))
    assert write_landmarks(scene, node, plan, "x") is node
    assert ids(node) == before
    assert events == []


def test_points_of_others_in_the_node_are_left_alone(scene, node, plan):
    import vtk

    node.SetFixedNumberOfControlPoints(False)
    node.AddControlPoint(vtk.vtkVector3d(1, 2, 3), "note")
    write_landmarks(scene, node, plan, "x")
    assert node.GetNthControlPointPosition(index_of(node, "note")) == (1, 2, 3)
    assert landmarks_from_node(node, plan) == plan.landmarks


def test_the_points_of_another_anatomy_make_way(scene, node, plan):
    other = replace(plan, landmarks=plan.landmarks[:5], predicted=plan.predicted[:5])
    write_landmarks(scene, node, other, "x")
    labels = [node.GetNthControlPointLabel(i) for i in range(node.GetNumberOfControlPoints())]
    assert labels == [mark.name for mark in plan.landmarks[:5]]
    write_landmarks(scene, node, plan, "x")
    assert landmarks_from_node(node, plan) == plan.landmarks


def test_a_parent_transform_of_the_node_moves_the_points(scene, node, plan):
    import slicer

    shift = np.eye(4)
    shift[:3, 3] = [0.0, 0.0, 9.0]
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    node.SetAndObserveTransformNodeID(transform.GetID())
    found = named(landmarks_from_node(node, plan))
    assert found["AC"].position_mm == pytest.approx(named(plan.landmarks)["AC"].position_mm + [0, 0, 9])
    write_landmarks(scene, node, plan, "x")
    assert moved_points(node, plan) == {}


def test_an_unknown_landmark_cannot_be_restored(node):
    with pytest.raises(InputError, match="S Landmarks: has no landmark NOSE"):
        restore_prediction(node, "NOSE")
