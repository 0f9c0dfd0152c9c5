"""Parent transforms of nodes."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
import vtk

from ..core.errors import InputError


def parent_to_world(node: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """(4, 4) from the node's own RAS to world through all its parent transforms, the identity where it has none.

    Raises:
        InputError: a transform is not linear, so that planes and boxes would not stay planes and boxes.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise InputError(
            f"lies under the transform {parent.GetName()}, which bends it",
            source=node.GetName(),
            remedy="Use a linear transform, or harden this one and choose the hardened node.",
        )
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
