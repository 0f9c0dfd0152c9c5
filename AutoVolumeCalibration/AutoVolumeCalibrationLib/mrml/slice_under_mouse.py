"""The slice in which the user drags or places a point: Slicer puts the point on it, whatever depth it had before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util

#: A point that the mouse put on a slice lies in it to within this distance, mm.
ON_SLICE_MM = 0.01


@dataclass(frozen=True, eq=False)
class SlicePlane:
    """The plane of a slice view: a point of it and its unit normal, (3,) RAS."""

    point_mm: np.ndarray
    normal: np.ndarray

    def holds(self, position_mm: np.ndarray) -> bool:
        """Whether the position (3,) RAS lies in the plane."""
        return bool(abs((np.asarray(position_mm) - self.point_mm) @ self.normal) <= ON_SLICE_MM)


def plane_under_mouse(scene: slicer.vtkMRMLScene) -> SlicePlane | None:
    """The plane of the slice view that the mouse is over; None where it is elsewhere, in the 3D view for example.

    The crosshair node follows the mouse in every view, also while a button is held.
    """
    crosshair = scene.GetNthNodeByClass(0, "vtkMRMLCrosshairNode")
    view = crosshair.GetCursorPositionXYZ([0.0, 0.0, 0.0]) if crosshair is not None else None
    if view is None:
        return None
    slice_to_ras = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())
    normal = slice_to_ras[:3, 2]
    return SlicePlane(slice_to_ras[:3, 3], normal / np.linalg.norm(normal))


def is_placing(scene: slicer.vtkMRMLScene) -> bool:
    """Whether the next click in a view places a point."""
    interaction = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    return interaction is not None and interaction.GetCurrentInteractionMode() == interaction.Place
