"""A study to learn from, out of any point list and its scouts in the scene."""

from __future__ import annotations

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.storage.dataset import append_study
from calibrations import scout_stacks
from LandmarkTrainingLib.core.datasets.reading import read_study, subject_of

PLACES = {"AC": (1.0, 2.0, 3.0), "PC": (0.0, -25.0, 2.0)}


@pytest.fixture
def volumes(scene):
    from AutoVolumeCalibrationLib.mrml.scouts_from_nodes import volume_nodes_from_stack

    return [node for stack in scout_stacks() for node in volume_nodes_from_stack(scene, stack, stack.plane)]


@pytest.fixture
def points(scene):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    for name, place in PLACES.items():
        node.AddControlPoint(place, name)
    return node


@pytest.fixture
def study_from_nodes(scene):
    from LandmarkTrainingLib.mrml.study_from_nodes import study_from_nodes

    return study_from_nodes


def test_points_and_scouts_make_a_study_that_can_be_added_and_read(tmp_path, points, volumes, study_from_nodes):
    study = study_from_nodes(points, volumes, name="one", subject="p1")
    append_study(tmp_path, study, load_protocol("BrainAcPc").constellation)
    read = read_study(tmp_path, "one")
    assert {mark.name: mark.status for mark in read.landmarks} == dict.fromkeys(PLACES, CORRECTED)
    for mark in read.landmarks:
        assert mark.position_mm == pytest.approx(PLACES[mark.name])
    assert len(read.stacks) == 3 and subject_of(read) == "p1"


def test_parent_transforms_hold_for_points_and_scouts(scene, points, volumes, study_from_nodes):
    import slicer.util

    shift = np.eye(4)
    shift[:3, 3] = [10, 20, 30]
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    before = study_from_nodes(points, volumes)
    for node in (points, *volumes):
        node.SetAndObserveTransformNodeID(transform.GetID())
    after = study_from_nodes(points, volumes)
    for one, other in zip(before.landmarks, after.landmarks, strict=True):
        assert other.position_mm == pytest.approx(one.position_mm + [10, 20, 30])
    assert after.stacks[0].slices[0].origin_mm == pytest.approx(before.stacks[0].slices[0].origin_mm + [10, 20, 30])


def test_of_our_own_landmark_node_only_what_a_person_set_counts(engine, study, study_from_nodes):
    names = [study.landmarks.GetNthControlPointLabel(i) for i in range(3)]
    study.landmarks.SetNthControlPointLocked(1, True)
    made = study_from_nodes(study.landmarks, study.scouts)
    assert [mark.name for mark in made.landmarks if mark.position_mm is not None] == [names[1]]


def test_a_point_without_a_place_is_unknown(points, volumes, study_from_nodes):
    points.SetNthControlPointPositionMissing(0)
    known = {mark.name: mark.position_mm is not None for mark in study_from_nodes(points, volumes).landmarks}
    assert known == {"AC": False, "PC": True}


@pytest.mark.parametrize(("label", "words"), [("PC", "more than one point named PC"), ("", "without a name")])
def test_names_that_repeat_or_are_absent_are_an_error_that_names_the_node(
    points, volumes, study_from_nodes, label, words
):
    points.SetNthControlPointLabel(0, label)
    with pytest.raises(InputError, match=f"Points: .*{words}"):
        study_from_nodes(points, volumes)


def test_no_points_and_one_plane_are_errors(scene, points, volumes, study_from_nodes):
    with pytest.raises(InputError, match="two of the three planes"):
        study_from_nodes(points, volumes[:1])
    points.RemoveAllControlPoints()
    with pytest.raises(InputError, match="Points: has no point"):
        study_from_nodes(points, volumes)
