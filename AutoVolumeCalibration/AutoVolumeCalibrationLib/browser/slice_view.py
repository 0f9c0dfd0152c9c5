"""One of Slicer's slice views, drawn offscreen, as an area that the browser shows and sends its mouse to."""

from __future__ import annotations

import slicer
import vtk
from trame_rca.rca import VtkRemoteControlledArea
from trame_rca.schedulers import RcaImageRenderScheduler
from trame_rca.view_adapter import RcaViewAdapter

from ..core.geometry.coordinates import NEGATIVE_SIDES, POSITIVE_SIDES

_MANAGERS = ("vtkMRMLCrosshairDisplayableManager", "vtkMRMLMarkupsDisplayableManager")
_PICTURES_PER_S = 30
#: JPEG quality while the picture changes, percent; that of trame afterwards.
_MOVING_QUALITY = 60


class SliceView(VtkRemoteControlledArea):
    """A slice view on a scene; made inside the running event loop, which draws it.

    Attributes:
        node: its vtkMRMLSliceNode.
        adapter: what trame registers.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        application_logic: slicer.vtkMRMLApplicationLogic,
        name: str,
        orientation: str,
    ) -> None:
        self._size = (0, 0)
        window = self._open_window()
        self._picture, self._mapper = self._add_picture()
        self._managers = self._start_managers(application_logic)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(orientation)
        self._managers.SetMRMLDisplayableNode(self.node)
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetSliceLogic(self.logic)
        self._style.SetDisplayableManagers(self._managers)
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._style.SetInteractor(self._interactor)
        super().__init__(window)
        self._scheduler = RcaImageRenderScheduler(
            self, target_fps=_PICTURES_PER_S, interactive_quality=_MOVING_QUALITY, rca_encoder="jpeg"
        )
        self.adapter = RcaViewAdapter(
            self, name.lower(), scheduler=self._scheduler, do_schedule_render_on_interaction=False
        )
        self._observed = [
            (self.logic, self.logic.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_slice)),
            (self._managers, self._managers.AddObserver(vtk.vtkCommand.UpdateEvent, self._on_markups)),
        ]

    @property
    def sides(self) -> tuple[str, str]:
        """Letters of the patient's sides at the left and at the right of the picture, such as ("R", "L")."""
        to_the_right = [self.node.GetSliceToRAS().GetElement(row, 0) for row in range(3)]
        axis = max(range(3), key=lambda row: abs(to_the_right[row]))
        sides = [names[axis][0].upper() for names in (NEGATIVE_SIDES, POSITIVE_SIDES)]
        left, right = sides if to_the_right[axis] > 0 else reversed(sides)
        return left, right

    def process_resize_event(self, width: int, height: int) -> None:
        """Fit the scout into the area, whose size in pixels the browser sends; the slice stays the same."""
        super().process_resize_event(width, height)
        if (width, height) == self._size:
            return
        self._size = (width, height)
        offset = self.node.GetSliceOffset()
        self.logic.ResizeSliceNode(width, height)
        self.logic.FitSliceToBackground()
        self.node.SetSliceOffset(offset)

    async def close(self) -> None:
        """Stop drawing, and part from the scene before that is closed."""
        await self.adapter.close()
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._mapper.RemoveAllInputConnections(0)
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(None)
        self._managers.SetMRMLDisplayableNode(None)
        self._interactor.SetInteractorStyle(None)
        self.logic.SetMRMLScene(None)
        self.render_window.Finalize()

    def _open_window(self) -> vtk.vtkRenderWindow:
        window = vtk.vtkRenderWindow()
        window.SetOffScreenRendering(1)
        window.SetMultiSamples(0)  # smoothing took most of the time of a picture
        window.SetSize(300, 300)
        self._renderer = vtk.vtkRenderer()
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(window)
        self._interactor.Initialize()
        return window

    def _add_picture(self) -> tuple[vtk.vtkActor2D, vtk.vtkImageMapper]:
        """The scout's picture: first of all, because what is added later is drawn over it."""
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        picture = vtk.vtkActor2D()
        picture.SetMapper(mapper)
        picture.SetVisibility(False)
        picture.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(picture)
        return picture, mapper

    def _start_managers(
        self, application_logic: slicer.vtkMRMLApplicationLogic
    ) -> slicer.vtkMRMLDisplayableManagerGroup:
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application_logic)
        for name in _MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        managers = slicer.vtkMRMLDisplayableManagerGroup()
        managers.SetRenderer(self._renderer)
        managers.Initialize(factory, self._renderer)
        return managers

    def _on_slice(self, *_event: object) -> None:
        connection = self.logic.GetImageDataConnection()
        if connection is not None and connection != self._mapper.GetInputConnection(0, 0):
            self._mapper.SetInputConnection(connection)
        self._picture.SetVisibility(connection is not None)
        self._scheduler.schedule_render()

    def _on_markups(self, *_event: object) -> None:
        self._scheduler.schedule_render()
