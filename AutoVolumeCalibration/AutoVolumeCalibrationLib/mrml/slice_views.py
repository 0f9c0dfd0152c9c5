"""What the slice views show. All goes through the scene, so that without a window it does no harm."""

from __future__ import annotations

import numpy as np
import slicer

from ..core.geometry.coordinates import PLANES
from .scout_planes import planes_of_node
from .study_nodes import Study

#: Slicer's views by the plane they usually show.
VIEW_OF_PLANE = {"axial": "Red", "sagittal": "Yellow", "coronal": "Green"}


def show_scouts(
    study: Study, application_logic: slicer.vtkMRMLApplicationLogic, center_mm: np.ndarray | None = None
) -> None:
    """Rotate each slice view into the plane of the study's scout and show it there; views without one stay as they are.

    Args:
        application_logic: knows the logic of each slice view; without one a view is not fitted to its scout.
        center_mm: (3,) RAS position to show; of several nodes of a plane the nearest to it is shown.
    """
    scene = study.node.GetScene()
    for plane in PLANES:
        volumes = [node for node in study.scouts if plane in planes_of_node(node)]
        view = _slice_node(scene, VIEW_OF_PLANE[plane])
        if volumes and view is not None:
            _show(application_logic, view, min(volumes, key=lambda node: _distance(node, center_mm)))
    if center_mm is not None:
        jump_to(scene, center_mm)


def jump_to(scene: slicer.vtkMRMLScene, position_ras_mm: np.ndarray) -> None:
    """Move all slice views to a position (3,)."""
    for name in VIEW_OF_PLANE.values():
        view = _slice_node(scene, name)
        if view is not None:
            view.JumpSliceByOffsetting(*(float(value) for value in position_ras_mm))


def start_place_mode(node: slicer.vtkMRMLMarkupsFiducialNode) -> None:
    """The next click in a view places the point of ``node`` that was made ready."""
    scene = node.GetScene()
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    interaction = scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    selection.SetReferenceActivePlaceNodeClassName(node.GetClassName())
    selection.SetActivePlaceNodeID(node.GetID())
    interaction.SwitchToSinglePlaceMode()


def _show(
    application_logic: slicer.vtkMRMLApplicationLogic,
    view: slicer.vtkMRMLSliceNode,
    volume: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    composite = slicer.vtkMRMLSliceLogic.GetSliceCompositeNode(view)
    if composite is not None:
        composite.SetBackgroundVolumeID(volume.GetID())
    view.RotateToVolumePlane(volume)
    logic = application_logic.GetSliceLogic(view)
    if logic is not None:
        logic.FitSliceToBackground()
        logic.SnapSliceOffsetToIJK()


def _slice_node(scene: slicer.vtkMRMLScene, name: str) -> slicer.vtkMRMLSliceNode | None:
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        view = scene.GetNthNodeByClass(number, "vtkMRMLSliceNode")
        if view.GetLayoutName() == name:
            return view
    return None


def _distance(volume: slicer.vtkMRMLScalarVolumeNode, center_mm: np.ndarray | None) -> float:
    if center_mm is None:
        return 0.0
    bounds = np.zeros(6)
    volume.GetRASBounds(bounds)
    return float(np.linalg.norm((bounds[0::2] + bounds[1::2]) / 2 - center_mm))
