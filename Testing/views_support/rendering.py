"""An offscreen window, the mouse over it, and the picture in it."""

from __future__ import annotations

import ctypes.util
import os

import numpy as np

MOUSE_STEPS = 8


def can_render() -> bool:
    """True where VTK can open an offscreen window: with a display, or with EGL."""
    return bool(os.environ.get("DISPLAY") or ctypes.util.find_library("EGL"))


class Window:
    """An offscreen render window that shows one MRML view node, and a mouse to play over it.

    Pixels are (x, y) from the lower left corner, as VTK and Slicer's XY coordinates count them.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        """Raises RuntimeError where nothing can be drawn (VTK would end the process)."""
        if not can_render():
            raise RuntimeError("no display and no libEGL: ask can_render() before opening a view")
        if not os.environ.get("DISPLAY"):
            os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")  # spares the X11 warning
        import slicer
        import vtk

        self.size = size
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.ShowWindowOff()
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.Initialize()
        self.interactor.UpdateSize(*size)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()

    def start_managers(self, factory, names: tuple[str, ...], application_logic) -> None:
        """Create the displayable managers ``names`` for this window; the factory is one for the whole process."""
        factory.SetMRMLApplicationLogic(application_logic)
        for name in names:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.managers.SetRenderer(self.renderer)
        self.managers.Initialize(factory, self.renderer)

    def render(self) -> None:
        """Draw now; what lies under the mouse is only known after this."""
        self.window.Render()

    def move(self, pixel: tuple[float, float]) -> None:
        """Move the mouse to ``pixel`` (x, y)."""
        self.interactor.SetEventInformation(round(pixel[0]), round(pixel[1]))
        self.interactor.InvokeEvent("MouseMoveEvent")

    def approach(self, pixel: tuple[float, float]) -> None:
        """Move onto ``pixel`` from beside it: a handle is only picked up by a mouse that has entered it."""
        self.move((pixel[0] + 3, pixel[1] + 3))
        self.render()
        self.move(pixel)
        self.render()

    def click(self, pixel: tuple[float, float]) -> None:
        """Press and release the left button at ``pixel``."""
        self.approach(pixel)
        self.interactor.InvokeEvent("LeftButtonPressEvent")
        self.interactor.InvokeEvent("LeftButtonReleaseEvent")
        self.render()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the left button at pixel ``start``, move to ``end``, release."""
        self.approach(start)
        self.interactor.InvokeEvent("LeftButtonPressEvent")
        for fraction in np.linspace(0, 1, MOUSE_STEPS + 1)[1:]:
            self.move((1 - fraction) * np.asarray(start) + fraction * np.asarray(end))
        self.interactor.InvokeEvent("LeftButtonReleaseEvent")
        self.render()

    def image(self) -> np.ndarray:
        """What the window shows, (height, width, 3) uint8, first row on top."""
        import vtk
        from vtk.util.numpy_support import vtk_to_numpy

        self.render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        width, height, _depth = grab.GetOutput().GetDimensions()
        pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        return pixels.reshape(height, width, -1)[::-1, :, :3]

    def close(self) -> None:
        """Part the window from the scene and free what it holds on the graphics card."""
        self.managers.SetMRMLDisplayableNode(None)
        self.interactor.SetInteractorStyle(None)
        self.window.Finalize()
