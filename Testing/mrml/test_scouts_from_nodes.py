"""Volume nodes and scout stacks: the same pixels at the same place, both ways."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import VOLUME_SCOUTS
from calibrations import ellipsoid_head, scout_stacks

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")

from AutoVolumeCalibrationLib.mrml.scouts_from_nodes import (  # noqa: E402
    stacks_from_volume_node,  # noqa: E402
    stacks_from_volume_nodes,  # noqa: E402
    volume_nodes_from_stack,  # noqa: E402
)

OBLIQUE = (12.0, -7.0, 20.0)


def assert_same(found: ScoutStack, expected: ScoutStack) -> None:
    assert (found.plane, found.frame_of_reference) == (expected.plane, expected.frame_of_reference)
    assert len(found.slices) == len(expected.slices)
    for a, b in zip(found.slices, expected.slices, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        np.testing.assert_allclose(a.origin_mm, b.origin_mm, atol=1e-9)
        np.testing.assert_allclose([a.column_axis, a.row_axis], [b.column_axis, b.row_axis], atol=1e-12)
        assert a.spacing_mm == pytest.approx(b.spacing_mm)
        assert a.thickness_mm == b.thickness_mm


def a_volume_node(scene, array_kji, affine, name="volume"):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, array_kji)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    return node


def put_under(node, matrix):
    transform = node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_an_oblique_stack_comes_back_from_one_node(scene, slices):
    for stack in scout_stacks(slices, rotation_deg=OBLIQUE):
        stack = replace(stack, frame_of_reference="1.2.3")
        (node,) = volume_nodes_from_stack(scene, stack, f"my {stack.plane}")
        assert node.GetName() == f"my {stack.plane}"
        (found,) = stacks_from_volume_node(node)
        assert_same(found, stack)


def test_the_index_axes_of_a_node_are_right_handed(scene):
    for stack in scout_stacks(3):
        (node,) = volume_nodes_from_stack(scene, stack, "x")
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        assert matrix.Determinant() > 0


def test_uneven_slices_become_a_node_each_and_one_stack_again(scene):
    stack = scout_stacks(4)[2]
    moved = replace(stack.slices[1], origin_mm=stack.slices[1].origin_mm + 3.0 * stack.normal)
    uneven = replace(stack, slices=(stack.slices[0], moved, *stack.slices[2:]))
    nodes = volume_nodes_from_stack(scene, uneven, "axial")
    assert [node.GetName() for node in nodes] == ["axial 1", "axial 2", "axial 3", "axial 4"]
    (found,) = stacks_from_volume_nodes(nodes)
    assert_same(found, uneven)


def test_slices_that_are_shifted_in_their_plane_are_not_put_into_one_node(scene):
    stack = scout_stacks(3)[0]
    last = stack.slices[2]
    shifted = replace(stack, slices=(*stack.slices[:2], replace(last, origin_mm=last.origin_mm + 2.0 * last.row_axis)))
    nodes = volume_nodes_from_stack(scene, shifted, "sagittal")
    assert len(nodes) == 3
    assert_same(stacks_from_volume_nodes(nodes)[0], shifted)


def test_two_split_stacks_of_one_plane_stay_two(scene):
    first = scout_stacks(3)[0]
    last = first.slices[2]
    uneven = replace(first, slices=(*first.slices[:2], replace(last, origin_mm=last.origin_mm + 5 * first.normal)))
    nodes = volume_nodes_from_stack(scene, uneven, "first") + volume_nodes_from_stack(scene, uneven, "second")
    assert [len(stack.slices) for stack in stacks_from_volume_nodes(nodes)] == [3, 3]


def test_single_slices_that_a_person_loaded_are_joined_by_orientation(scene):
    nodes = []
    for stack in scout_stacks(3):
        for s in stack.slices:
            nodes += volume_nodes_from_stack(scene, replace(stack, slices=(s,)), "slice")
    stacks = stacks_from_volume_nodes(nodes)
    assert [(stack.plane, len(stack.slices)) for stack in stacks] == [("sagittal", 3), ("coronal", 3), ("axial", 3)]


def test_array_order_is_slice_row_column(scene):
    array = np.zeros((2, 5, 7), dtype=np.int16)
    array[1, 3, 4] = 9
    affine = np.diag([2.0, 3.0, 10.0, 1.0])
    affine[:3, 3] = [100.0, 200.0, 300.0]
    (stack,) = stacks_from_volume_node(a_volume_node(scene, array, affine))
    bright = stack.slices[1]
    assert bright.pixels[3, 4] == 9
    assert bright.to_world(np.array([3, 4])) == pytest.approx([108.0, 209.0, 310.0])


def test_nested_linear_transforms_move_the_slices(scene):
    stack = scout_stacks(3)[1]
    (node,) = volume_nodes_from_stack(scene, stack, "coronal")
    inner, outer = np.eye(4), np.eye(4)
    inner[:3, :3] = Rotation.from_euler("xyz", [10, 5, -8], degrees=True).as_matrix()
    outer[:3, 3] = [11.0, -22.0, 33.0]
    put_under(node, inner)
    put_under(node.GetParentTransformNode(), outer)
    (found,) = stacks_from_volume_node(node)
    for a, b in zip(found.slices, stack.slices, strict=True):
        np.testing.assert_allclose(a.origin_mm, inner[:3, :3] @ b.origin_mm + outer[:3, 3], atol=1e-9)
        np.testing.assert_allclose(a.row_axis, inner[:3, :3] @ b.row_axis, atol=1e-12)


def test_a_bending_transform_is_refused_by_name(scene):
    (node,) = volume_nodes_from_stack(scene, scout_stacks(3)[0], "sagittal")
    bend = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for point in ((0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50)):
        source.InsertNextPoint(point)
        target.InsertNextPoint(point[0], point[1] + 0.01 * point[0] ** 2, point[2])
    bend.SetSourceLandmarks(source)
    bend.SetTargetLandmarks(target)
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    transform.SetAndObserveTransformToParent(bend)
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InputError, match=r"sagittal: lies under the transform warp.*linear"):
        stacks_from_volume_node(node)


def test_a_real_volume_is_cut_into_three_planes_under_its_transform(scene):
    head = ellipsoid_head()
    node = a_volume_node(scene, head.array.transpose(2, 1, 0), head.affine, "head")
    shift = np.eye(4)
    shift[:3, 3] = [30.0, 0.0, -10.0]
    put_under(node, shift)
    stacks = stacks_from_volume_node(node)
    assert [stack.plane for stack in stacks] == ["sagittal", "coronal", "axial"]
    assert {len(stack.slices) for stack in stacks} == {VOLUME_SCOUTS.slices}
    middle = stacks[0].slices[VOLUME_SCOUTS.slices // 2]
    rows, columns = np.nonzero(middle.pixels > 50)
    assert middle.to_world(np.array([rows.mean(), columns.mean()])) == pytest.approx([30.0, 0.0, -10.0], abs=4.0)


@pytest.mark.parametrize("kind", ["empty", "label map", "colour", "not a number"])
def test_what_is_no_scout_is_refused_by_name(scene, kind):
    if kind == "empty":
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "odd")
    elif kind == "label map":
        node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "odd")
        slicer.util.updateVolumeFromArray(node, np.ones((2, 4, 4), dtype=np.int16))
    elif kind == "colour":
        node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "odd")
        slicer.util.updateVolumeFromArray(node, np.ones((2, 4, 4, 3), dtype=np.uint8))
    else:
        node = a_volume_node(scene, np.full((2, 4, 4), np.nan, dtype=np.float32), np.eye(4), "odd")
    with pytest.raises(InputError, match="^odd: ") as caught:
        stacks_from_volume_node(node)
    assert caught.value.remedy
