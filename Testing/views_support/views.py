"""Slicer's Red, Yellow and Green slice views and its 3D view, without the application."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from views_support.rendering import Window

SIZE = (400, 400)
SLICE_MANAGERS = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
)
THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
)


class SliceView(Window):
    """One slice view; ``node`` is its vtkMRMLSliceNode, ``logic`` its vtkMRMLSliceLogic."""

    def __init__(self, scene, application_logic, name: str, orientation: str, size: tuple[int, int]) -> None:
        import slicer
        import vtk

        super().__init__(size)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        self.start_managers(factory, SLICE_MANAGERS, application_logic)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._picture = vtk.vtkActor2D()
        self._picture.SetMapper(self._mapper)
        self._picture.GetProperty().SetDisplayLocationToBackground()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(orientation)
        self.managers.SetMRMLDisplayableNode(self.node)
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetSliceLogic(self.logic)
        self._style.SetDisplayableManagers(self.managers)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._style.SetInteractor(self.interactor)
        self.logic.ResizeSliceNode(*size)
        self._observer = self.logic.AddObserver(vtk.vtkCommand.ModifiedEvent, self._update_picture)

    def _update_picture(self, _caller=None, _event=None) -> None:
        connection = self.logic.GetImageDataConnection()
        if connection is None:
            self.renderer.RemoveViewProp(self._picture)
            return
        self._mapper.SetInputConnection(connection)
        if not self.renderer.HasViewProp(self._picture):
            self.renderer.AddViewProp(self._picture)

    def fit(self) -> None:
        """Show the whole background volume, the slice through its centre."""
        self.logic.FitSliceToBackground()
        self.logic.SnapSliceOffsetToIJK()

    def jump_to(self, point_ras_mm: Sequence[float]) -> None:
        """Let the slice pass through ``point_ras_mm`` (3,), world mm."""
        self.node.JumpSliceByOffsetting(*point_ras_mm)

    def pixel_of(self, point_ras_mm: Sequence[float]) -> tuple[float, float]:
        """Where the world point (3,) lies in this view, (x, y) in pixels; its distance from the slice is ignored."""
        import vtk

        ras_to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), ras_to_xy)
        return ras_to_xy.MultiplyPoint([*point_ras_mm, 1])[:2]

    def ras_of(self, pixel: tuple[float, float]) -> np.ndarray:
        """The world point (3,) in mm of the slice at ``pixel``."""
        return np.array(self.node.GetXYToRAS().MultiplyPoint([*pixel, 0, 1])[:3])

    def close(self) -> None:
        self.logic.RemoveObserver(self._observer)
        self.logic.SetMRMLScene(None)
        super().close()


class ThreeDView(Window):
    """The 3D view; ``node`` is its vtkMRMLViewNode."""

    def __init__(self, scene, application_logic, name: str, size: tuple[int, int]) -> None:
        import slicer
        import vtk

        super().__init__(size)
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        self.start_managers(factory, THREE_D_MANAGERS, application_logic)
        self._style = slicer.vtkMRMLThreeDViewInteractorStyle()
        self._style.SetDisplayableManagers(self.managers)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyle3D())
        self._style.SetInteractor(self.interactor)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddViewNode(name)
        self.managers.SetMRMLDisplayableNode(self.node)

    def fit(self) -> None:
        """Move the camera so that all there is can be seen."""
        self.renderer.ResetCamera()
        self.renderer.ResetCameraClippingRange()

    def pixel_of(self, point_ras_mm: Sequence[float]) -> tuple[float, float]:
        """Where the world point (3,) in mm is drawn, (x, y) in pixels."""
        self.renderer.SetWorldPoint(*point_ras_mm, 1)
        self.renderer.WorldToDisplay()
        return self.renderer.GetDisplayPoint()[:2]

    def close(self) -> None:
        self.logic.SetMRMLScene(None)
        super().close()


@dataclass(frozen=True)
class Views:
    """The four views of Slicer's default layout on one scene."""

    red: SliceView
    yellow: SliceView
    green: SliceView
    three_d: ThreeDView
    application_logic: object

    @property
    def slices(self) -> tuple[SliceView, SliceView, SliceView]:
        """Axial, sagittal, coronal."""
        return self.red, self.yellow, self.green

    def show_volume(self, volume) -> None:
        """Make ``volume`` (vtkMRMLVolumeNode) the background of all slice views."""
        self.application_logic.GetSelectionNode().SetActiveVolumeID(volume.GetID())
        self.application_logic.PropagateVolumeSelection(0)
        for view in self.slices:
            view.fit()

    def jump_to(self, point_ras_mm: Sequence[float]) -> None:
        """Let all slices pass through ``point_ras_mm`` (3,)."""
        for view in self.slices:
            view.jump_to(point_ras_mm)

    def image(self) -> np.ndarray:
        """All views as in the default layout (red, 3D above green, yellow), (height, width, 3) uint8."""
        above = np.hstack([self.red.image(), self.three_d.image()])
        below = np.hstack([self.green.image(), self.yellow.image()])
        return np.vstack([above, below])

    def save(self, path: Path) -> None:
        """Write ``image()`` as a PNG file."""
        import vtk
        from vtk.util.numpy_support import numpy_to_vtk

        pixels = self.image()[::-1]
        height, width, channels = pixels.shape
        data = vtk.vtkImageData()
        data.SetDimensions(width, height, 1)
        data.GetPointData().SetScalars(numpy_to_vtk(pixels.reshape(-1, channels), deep=True))
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(str(path))
        writer.SetInputData(data)
        writer.Write()

    def close(self) -> None:
        """Before the scene is closed: part all views from it."""
        for view in (*self.slices, self.three_d):
            view.close()
        self.application_logic.GetSliceLogics().RemoveAllItems()
        self.application_logic.GetViewLogics().RemoveAllItems()


def open_views(scene, application_logic, size: tuple[int, int] = SIZE) -> Views:
    """The views Red (axial), Yellow (sagittal), Green (coronal) and the 3D view of ``scene``.

    Args:
        size: width and height of each in pixels.

    Raises:
        RuntimeError: nothing can be drawn here; ask ``can_render()`` first.
    """
    return Views(
        SliceView(scene, application_logic, "Red", "Axial", size),
        SliceView(scene, application_logic, "Yellow", "Sagittal", size),
        SliceView(scene, application_logic, "Green", "Coronal", size),
        ThreeDView(scene, application_logic, "1", size),
        application_logic,
    )
