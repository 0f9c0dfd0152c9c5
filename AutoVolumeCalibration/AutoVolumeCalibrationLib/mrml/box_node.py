"""The scan box as one ROI node: its axes in the object-to-node matrix, its edge lengths as size."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util

from ..core.errors import InputError
from ..core.geometry.oriented_box import OrientedBox
from .transforms import parent_to_world

#: Name of the protocol's box that the ROI shows.
BOX_ATTRIBUTE = "AutoVolume.Box"

COLOR = (1.0, 0.82, 0.25)
FILL_OPACITY = 0.1

#: The box is not touched where it differs by less, so that a re-run causes no redrawing.
SAME_MM = 1e-9
#: A transform that skews the axes by more than this does not leave a box.
SKEW_TOLERANCE = 1e-4


def write_box(
    scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLMarkupsROINode | None, box: OrientedBox, name: str
) -> slicer.vtkMRMLMarkupsROINode:
    """Show ``box`` in ``node``, or in a new node called ``name``; gives the node.

    A linear parent transform of the node is allowed for: the box lies where it should in the world.
    """
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(COLOR)
        display.SetSelectedColor(COLOR)
        display.SetFillOpacity(FILL_OPACITY)
        display.SetRotationHandleVisibility(True)
        display.SetPropertiesLabelVisibility(False)
    to_world = np.eye(4)
    to_world[:3, :3], to_world[:3, 3] = box.axes.T, box.center_mm
    scale = np.ones(3)
    if node.GetParentTransformNode() is not None:
        to_world = np.linalg.inv(parent_to_world(node)) @ to_world
        scale = np.linalg.norm(to_world[:3, :3], axis=0)
        to_world[:3, :3] /= scale
    size = box.size_mm * scale
    modifying = node.StartModify()
    if np.abs(slicer.util.arrayFromVTKMatrix(node.GetObjectToNodeMatrix()) - to_world).max() > SAME_MM:
        # A matrix of its own: the node observes it, and a shared one would move this box with another.
        node.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(to_world))
    if np.abs(np.array(node.GetSize()) - size).max() > SAME_MM:
        node.SetSize(*(float(edge) for edge in size))
    node.SetAttribute(BOX_ATTRIBUTE, box.name)
    node.EndModify(modifying)
    return node


def box_from_node(node: slicer.vtkMRMLMarkupsROINode) -> OrientedBox:
    """The box as it lies in the world now, dragged by the user or not; without uncertainties of the faces.

    Raises:
        InputError: the ROI has no extent, or a transform bends, skews or mirrors it.
    """
    to_world = parent_to_world(node) @ slicer.util.arrayFromVTKMatrix(node.GetObjectToNodeMatrix())
    stretch = np.linalg.norm(to_world[:3, :3], axis=0)
    size = np.array(node.GetSize()) * stretch
    if not (np.isfinite(size).all() and (size > 0).all()):
        raise InputError("is a box without extent", source=node.GetName(), remedy="Pull its faces apart.")
    axes = (to_world[:3, :3] / stretch).T
    if np.abs(axes @ axes.T - np.eye(3)).max() > SKEW_TOLERANCE or np.linalg.det(axes) < 0:
        raise InputError(
            "is skewed or mirrored by its transform", source=node.GetName(), remedy="Take the box out of the transform."
        )
    return OrientedBox(node.GetAttribute(BOX_ATTRIBUTE) or node.GetName(), to_world[:3, 3].copy(), axes, size)
