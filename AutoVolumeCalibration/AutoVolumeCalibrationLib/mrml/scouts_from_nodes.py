"""Scout stacks from volume nodes, and volume nodes from scout stacks. Slicer's arrays are (k, j, i)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk

from ..core.errors import AutoVolumeError, InputError
from ..core.geometry.coordinates import unit
from ..core.scouts.stack import ScoutSlice, ScoutStack, group_into_stacks, header_side, is_even, unanimous
from ..core.scouts.validation import finite_pixels
from ..core.scouts.volume import Volume, cut_volume, is_volume, stack_from_volume
from .transforms import parent_to_world

#: Attributes for what a volume node has no field for.
THICKNESS_ATTRIBUTE = "AutoVolume.ThicknessMm"
FRAME_OF_REFERENCE_ATTRIBUTE = "AutoVolume.FrameOfReference"
#: What the DICOM header states about the body.
LATERALITY_ATTRIBUTE = "AutoVolume.Laterality"
BODY_PART_ATTRIBUTE = "AutoVolume.BodyPart"
#: What the plan has to say about how the scouts came about.
REMARK_ATTRIBUTE = "AutoVolume.Remark"
#: Shared by the nodes of all stacks that were cut from one volume.
VOLUME_ATTRIBUTE = "AutoVolume.Volume"
#: Shared by the nodes of one stack that had to be split into single slices.
STACK_ATTRIBUTE = "AutoVolume.Stack"

#: Field of a stack -> the attribute that keeps it.
_TEXTS = {
    "laterality": LATERALITY_ATTRIBUTE,
    "body_part": BODY_PART_ATTRIBUTE,
    "remark": REMARK_ATTRIBUTE,
    "volume": VOLUME_ATTRIBUTE,
}


def stacks_from_volume_nodes(nodes: Sequence[slicer.vtkMRMLScalarVolumeNode]) -> list[ScoutStack]:
    """All stacks in the nodes; parallel nodes of a single slice each are joined to one stack.

    Raises:
        InputError: a node does not hold a scout; the message names it and says what to do.
    """
    stacks: list[ScoutStack] = []
    single: dict[tuple[str, str], list[ScoutStack]] = {}
    for node in nodes:
        for stack in stacks_from_volume_node(node):
            if len(stack.slices) > 1:
                stacks.append(stack)
            else:
                key = (node.GetAttribute(STACK_ATTRIBUTE) or "", stack.frame_of_reference or "")
                single.setdefault(key, []).append(stack)
    for (name, frame_of_reference), parts in single.items():
        slices = [stack.slices[0] for stack in parts]
        joined = group_into_stacks(slices, frame_of_reference or None, name or slices[0].source)
        stacks += [
            replace(
                stack,
                laterality=header_side(parts),
                body_part=unanimous(part.body_part for part in parts),
                remark=unanimous(part.remark for part in parts),
                volume=unanimous(part.volume for part in parts),
            )
            for stack in joined
        ]
    return stacks


def stacks_from_volume_node(node: slicer.vtkMRMLScalarVolumeNode) -> list[ScoutStack]:
    """The stack in a volume node, in world coordinates; three stacks cut out of a real 3D volume.

    A linear parent transform is applied.

    Raises:
        InputError: no image, not a scalar one, a transform that bends, axes that are not square.
    """
    name = node.GetName()
    volume = _volume_of(node)
    thickness_mm = _thickness_mm(node)
    try:
        if is_volume(volume.array.shape, np.linalg.norm(volume.affine[:3, :3], axis=0)):
            stacks = cut_volume(volume)
        else:
            stack = stack_from_volume(volume, name)
            stacks = [replace(stack, slices=tuple(replace(s, thickness_mm=thickness_mm) for s in stack.slices))]
    except AutoVolumeError as error:
        raise type(error)(error.what, source=name, remedy=error.remedy) from error
    frame_of_reference = node.GetAttribute(FRAME_OF_REFERENCE_ATTRIBUTE) or None
    stated: dict[str, Any] = {field: node.GetAttribute(attribute) or "" for field, attribute in _TEXTS.items()}
    stated["volume"] = stated["volume"] or stacks[0].volume
    return [replace(stack, frame_of_reference=frame_of_reference, **stated) for stack in stacks]


def volume_nodes_from_stack(
    scene: slicer.vtkMRMLScene, stack: ScoutStack, name: str
) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """New nodes for a stack: one for evenly spaced slices, else one for each slice, ``name 1``, ``name 2``, ..."""
    if is_even(stack):
        return [_volume_node(scene, stack, stack.slices, name)]
    nodes = [_volume_node(scene, stack, [s], f"{name} {number}") for number, s in enumerate(stack.slices, start=1)]
    for node in nodes:
        node.SetAttribute(STACK_ATTRIBUTE, name)
    return nodes


def _volume_of(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """The node's image with array index (i, j, k) and the affine to world."""
    name = node.GetName()
    if not node.IsA("vtkMRMLScalarVolumeNode") or node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError("is not a grey-value volume", source=name, remedy="Choose an MR image.")
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise InputError("holds no image", source=name, remedy="Load the scout again.")
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(
            "has several numbers per pixel (colour or vector)", source=name, remedy="Choose a grey-value image."
        )
    array = finite_pixels(slicer.util.arrayFromVolume(node), name).transpose(2, 1, 0)
    return Volume(array, parent_to_world(node) @ _ijk_to_ras(node), name)


def _ijk_to_ras(node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """(4, 4) from voxel index (i, j, k) to the node's own RAS."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _thickness_mm(node: slicer.vtkMRMLScalarVolumeNode) -> float | None:
    text = node.GetAttribute(THICKNESS_ATTRIBUTE)
    return float(text) if text else None


def _volume_node(
    scene: slicer.vtkMRMLScene, stack: ScoutStack, slices: Sequence[ScoutSlice], name: str
) -> slicer.vtkMRMLScalarVolumeNode:
    """One node with i along the columns, j along the rows and k along the slices; slices are even.

    k makes the index axes right-handed: Slicer flips other images when it reads them back.
    """
    first = slices[0]
    k_axis = unit(np.cross(first.column_axis, first.row_axis))
    ordered = sorted(slices, key=lambda s: float(s.origin_mm @ k_axis))
    reach_mm = float((ordered[-1].origin_mm - ordered[0].origin_mm) @ k_axis)
    slice_spacing_mm = reach_mm / (len(ordered) - 1) if len(ordered) > 1 else stack.thickness_mm
    affine = np.eye(4)
    affine[:3, 0] = first.column_axis * first.spacing_mm[1]
    affine[:3, 1] = first.row_axis * first.spacing_mm[0]
    affine[:3, 2] = k_axis * slice_spacing_mm
    affine[:3, 3] = ordered[0].origin_mm
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, np.stack([s.pixels for s in ordered]))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(affine))
    if first.thickness_mm is not None:
        node.SetAttribute(THICKNESS_ATTRIBUTE, repr(float(first.thickness_mm)))
    if stack.frame_of_reference:
        node.SetAttribute(FRAME_OF_REFERENCE_ATTRIBUTE, stack.frame_of_reference)
    for field, attribute in _TEXTS.items():
        if getattr(stack, field):
            node.SetAttribute(attribute, getattr(stack, field))
    node.CreateDefaultDisplayNodes()
    return node
