"""A complete scene in plain Python, on slicer-core from PyPI.

Never inside the Slicer application: it provides all this, and its scene comes from the caller.
"""

from __future__ import annotations

from pathlib import Path

import slicer
import vtk


class StandaloneScene:
    """A scene with what the application would set up around it, so that volumes, markups and .mrb files work.

    ``with StandaloneScene(folder) as scene:`` The logics live as long as this object: without them a
    scene cannot read a .mrb file.

    Attributes:
        scene: the vtkMRMLScene.
        application_logic: with the Colors and Markups logics registered, for slice and 3D views.
    """

    def __init__(self, temporary_directory: Path | str) -> None:
        """``temporary_directory`` exists; .mrb files are unpacked in it."""
        self.scene = slicer.vtkMRMLScene()
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self._add_application_nodes()
        self._logics = [self._colors(), self._markups(), *self._file_access(Path(temporary_directory))]

    def __enter__(self) -> slicer.vtkMRMLScene:
        return self.scene

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Empty the scene, singletons included, and detach the logics from it."""
        self.scene.Clear(True)
        for logic in [*reversed(self._logics), self.application_logic]:
            logic.SetMRMLScene(None)
        self._logics = []

    def _add_application_nodes(self) -> None:
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        self.application_logic.SetMRMLScene(self.scene)  # adds selection and interaction nodes
        self.application_logic.SetSliceLogics(vtk.vtkCollection())
        self.application_logic.SetViewLogics(vtk.vtkCollection())
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)

    def _colors(self) -> slicer.vtkMRMLColorLogic:
        """Without colour tables slices render black."""
        colors = self.application_logic.GetColorLogic()
        colors.SetMRMLScene(self.scene)
        self.application_logic.SetModuleLogic("Colors", colors)
        colors.AddDefaultColorNodes()
        return colors

    def _markups(self) -> slicer.vtkSlicerMarkupsLogic:
        """Without this logic markups are saved without their points."""
        markups = slicer.vtkSlicerMarkupsLogic()
        markups.SetMRMLApplicationLogic(self.application_logic)
        markups.SetMRMLScene(self.scene)
        self.application_logic.SetModuleLogic("Markups", markups)
        return markups

    def _file_access(self, temporary_directory: Path) -> list[slicer.vtkMRMLAbstractLogic]:
        """Reading a .mrb file goes through the cache of the remote file logic, even where nothing is remote."""
        cache = temporary_directory / "slicer-cache"
        cache.mkdir(exist_ok=True)
        (cache / ".slicer-cache").touch()  # a cache without this mark is warned of and never cleaned
        remote = slicer.vtkMRMLRemoteIOLogic()
        remote.SetMRMLScene(self.scene)
        remote.SetMRMLApplicationLogic(self.application_logic)
        remote.GetCacheManager().SetRemoteCacheDirectory(str(cache))
        files = slicer.vtkDataIOManagerLogic()
        files.SetMRMLScene(self.scene)
        files.SetMRMLApplicationLogic(self.application_logic)
        files.SetAndObserveDataIOManager(remote.GetDataIOManager())
        remote.AddDataIOToScene()
        return [remote, files]
