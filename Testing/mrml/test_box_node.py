"""The scan box as an ROI node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")

from AutoVolumeCalibrationLib.mrml.box_node import (  # noqa: E402
    box_from_node,  # noqa: E402
    write_box,  # noqa: E402
)


def a_box(seed: int = 0) -> OrientedBox:
    axes = Rotation.random(random_state=seed).as_matrix()
    return OrientedBox("AxialWholeBrain", np.array([11.0, -22.0, 33.0]), axes, np.array([140.5, 180.25, 141.0]))


def assert_same(found: OrientedBox, expected: OrientedBox) -> None:
    assert found.name == expected.name
    np.testing.assert_allclose(found.center_mm, expected.center_mm, atol=1e-9)
    np.testing.assert_allclose(found.axes, expected.axes, atol=1e-12)
    np.testing.assert_allclose(found.size_mm, expected.size_mm, atol=1e-9)


def put_under(node, matrix):
    transform = node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def test_a_turned_box_comes_back(scene):
    node = write_box(scene, None, a_box(), "S ScanBox")
    assert node.GetName() == "S ScanBox"
    assert_same(box_from_node(node), a_box())


def test_the_roi_covers_what_the_box_covers(scene):
    box = a_box()
    node = write_box(scene, None, box, "x")
    assert node.GetCenterWorld() == pytest.approx(box.center_mm)
    planes = vtk.vtkPlanes()
    node.GetPlanesWorld(planes)
    inside = box.center_mm + (box.corners_mm() - box.center_mm) * 0.999
    outside = box.center_mm + (box.corners_mm() - box.center_mm) * 1.001
    signs = [planes.EvaluateFunction(point) < 0 for point in [*inside, *outside]]
    assert signs == [signs[0]] * 8 + [not signs[0]] * 8


def test_writing_again_keeps_the_node_and_changes_nothing(scene):
    node = write_box(scene, None, a_box(), "x")
    events = []
    node.AddObserver("ModifiedEvent", lambda *_: events.append(1))
    assert write_box(scene, node, a_box(), "x") is node
    assert events == []
    assert write_box(scene, node, a_box(1), "x") is node
    assert events
    assert_same(box_from_node(node), a_box(1))


def test_two_boxes_do_not_share_a_matrix(scene):
    first, second = write_box(scene, None, a_box(), "a"), write_box(scene, None, a_box(), "b")
    first.SetCenterWorld(0.0, 0.0, 0.0)
    assert_same(box_from_node(second), a_box())


def test_a_dragged_box_is_read_where_it_lies(scene):
    node = write_box(scene, None, a_box(), "x")
    node.SetCenterWorld(1.0, 2.0, 3.0)
    node.SetSize(100.0, 110.0, 120.0)
    dragged = replace(a_box(), center_mm=np.array([1.0, 2.0, 3.0]), size_mm=np.array([100.0, 110.0, 120.0]))
    assert_same(box_from_node(node), dragged)


def test_a_parent_transform_moves_the_box_and_is_allowed_for_when_written(scene):
    node = write_box(scene, None, a_box(), "x")
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [20, 10, 5], degrees=True).as_matrix()
    matrix[:3, 3] = [5.0, 6.0, 7.0]
    put_under(node, matrix)
    moved = box_from_node(node)
    np.testing.assert_allclose(moved.center_mm, matrix[:3, :3] @ a_box().center_mm + matrix[:3, 3], atol=1e-9)
    np.testing.assert_allclose(moved.axes, a_box().axes @ matrix[:3, :3].T, atol=1e-12)
    write_box(scene, node, a_box(), "x")
    assert_same(box_from_node(node), a_box())


def test_a_transform_that_enlarges_changes_the_size(scene):
    node = write_box(scene, None, a_box(), "x")
    put_under(node, np.diag([2.0, 2.0, 2.0, 1.0]))
    np.testing.assert_allclose(box_from_node(node).size_mm, a_box().size_mm * 2, atol=1e-9)
    write_box(scene, node, a_box(), "x")
    assert_same(box_from_node(node), a_box())


def test_a_skewed_box_and_a_flat_one_are_refused(scene):
    node = write_box(scene, None, a_box(), "x")
    skew = np.eye(4)
    skew[0, 1] = 0.3
    transform = put_under(node, skew)
    with pytest.raises(InputError, match="x: is skewed"):
        box_from_node(node)
    scene.RemoveNode(transform)
    node.SetSize(0.0, 10.0, 10.0)
    with pytest.raises(InputError, match="without extent"):
        box_from_node(node)
