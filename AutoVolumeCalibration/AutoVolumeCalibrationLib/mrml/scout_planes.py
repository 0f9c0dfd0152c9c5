"""Which scout plane a volume node shows, from its geometry alone."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
import vtk

from ..core.geometry.coordinates import PLANES
from ..core.scouts.stack import plane_of
from ..core.scouts.volume import is_volume
from .transforms import parent_to_world


def planes_of_node(node: slicer.vtkMRMLScalarVolumeNode) -> tuple[str, ...]:
    """The planes of its slices: one, or all three where it is a 3D volume; none where it holds no image.

    Raises:
        InputError: a transform bends the node.
    """
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        return ()
    shape, spacing = image.GetDimensions(), node.GetSpacing()
    if is_volume(shape, spacing):
        return PLANES
    through = min(range(3), key=lambda axis: (shape[axis], -spacing[axis]))
    directions = vtk.vtkMatrix4x4()
    node.GetIJKToRASDirectionMatrix(directions)
    to_world = parent_to_world(node)[:3, :3] @ slicer.util.arrayFromVTKMatrix(directions)[:3, :3]
    return (plane_of(to_world[:, through] / np.linalg.norm(to_world[:, through])),)


def missing_planes(nodes: list[slicer.vtkMRMLScalarVolumeNode]) -> list[str]:
    """The planes that none of the nodes shows."""
    shown = {plane for node in nodes for plane in planes_of_node(node)}
    return [plane for plane in PLANES if plane not in shown]
