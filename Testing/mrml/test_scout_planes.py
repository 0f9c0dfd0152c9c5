"""Which plane a volume node shows."""

from __future__ import annotations

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from calibrations import scout_stacks

slicer = pytest.importorskip("slicer", exc_type=ImportError)


def nodes_of(scene, **options):
    from AutoVolumeCalibrationLib.mrml.scouts_from_nodes import volume_nodes_from_stack

    stacks = scout_stacks(**options)
    return {stack.plane: node for stack in stacks for node in volume_nodes_from_stack(scene, stack, stack.plane)}


@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("rotation_deg", [(0, 0, 0), (20, -15, 10)])
def test_each_scout_shows_its_plane(scene, slices, rotation_deg):
    from AutoVolumeCalibrationLib.mrml.scout_planes import planes_of_node

    for plane, node in nodes_of(scene, slices=slices, rotation_deg=rotation_deg).items():
        assert planes_of_node(node) == (plane,)


def test_a_parent_transform_turns_the_plane(scene):
    from AutoVolumeCalibrationLib.mrml.scout_planes import planes_of_node

    node = nodes_of(scene)["axial"]
    quarter_turn = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    quarter_turn.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(quarter_turn.GetID())
    assert planes_of_node(node) == ("coronal",)


def test_a_3d_volume_shows_all_planes_and_an_empty_node_none(scene):
    from AutoVolumeCalibrationLib.mrml.scout_planes import planes_of_node

    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert planes_of_node(node) == ()
    slicer.util.updateVolumeFromArray(node, np.zeros((40, 50, 60), np.float32))
    assert planes_of_node(node) == PLANES


def test_the_missing_planes_are_named(scene):
    from AutoVolumeCalibrationLib.mrml.scout_planes import missing_planes

    nodes = nodes_of(scene, planes=["coronal"])
    assert missing_planes(list(nodes.values())) == ["sagittal", "axial"]
