"""A calibration as a scene file that Slicer opens: scouts, landmarks, scan box and reports in one .mrb."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ..core.errors import InputError, UsageError
from ..core.files.archive import require_safe_archive
from ..core.files.atomic_write import atomic_path
from ..core.install_remedy import install_remedy
from ..core.workflow.calibration import Calibration

if TYPE_CHECKING:
    import slicer


def save_scene(calibration: Calibration, path: Path | str, *, study: str = "Study 1") -> None:
    """Write a .mrb file with one study in it, atomically. Neither Slicer's own scene nor any other is touched.

    Args:
        calibration: its ``stacks`` become volumes.
        study: name of the study in the scene, without patient data.

    Raises:
        UsageError: slicer-core is not installed, or the file cannot be written.
    """
    _require_slicer()
    from .engine import CalibrationEngine

    scene = _scene_to_write()
    engine = CalibrationEngine(scene)
    engine.show(engine.add_stacks(calibration.stacks, name=study), calibration)
    # Slicer names the folder inside the file after the file, and fails where that name begins with a dot.
    with TemporaryDirectory() as folder:
        whole = Path(folder) / "scene.mrb"
        with _working_directory_kept():
            written = scene.WriteToMRB(str(whole))
        if not written:
            raise UsageError("the scene cannot be put together", source=folder, remedy="Check the free disk space.")
        with atomic_path(path) as temporary:
            shutil.copyfile(whole, temporary)


def load_scene(scene: slicer.vtkMRMLScene, path: Path | str) -> None:
    """Add what a .mrb file holds to a scene that can read it: the application's, or a ``StandaloneScene``'s.

    Raises:
        InputError: there is no such file, it is not a scene, or it would write outside its own folder.
    """
    path = Path(path).absolute()
    # Slicer's own reader writes an entry wherever its name leads.
    require_safe_archive(path)
    with _working_directory_kept():
        readable = scene.ReadFromMRB(str(path), False)
    if not readable:
        raise InputError("cannot be read as a scene", source=str(path), remedy="Give a .mrb file.")


@contextmanager
def _working_directory_kept() -> Iterator[None]:
    """MRML goes to a temporary folder while it packs or unpacks a scene, and where that fails it stays there."""
    before = os.getcwd()
    try:
        yield
    finally:
        os.chdir(before)


def _require_slicer() -> None:
    try:
        import slicer  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "a scene file needs slicer-core, which is not installed",
            remedy=install_remedy("slicer-core", "standalone"),
        ) from error


def _scene_to_write() -> slicer.vtkMRMLScene:
    """A scene with just what saving needs, and so one that can be made inside the application too."""
    import slicer

    scene = slicer.vtkMRMLScene()
    selection = slicer.vtkMRMLSelectionNode()
    selection.SetSingletonTag("Singleton")
    scene.AddNode(selection)
    # Makes the scene know how markups are stored; it looks for the selection node.
    slicer.vtkSlicerMarkupsLogic().SetMRMLScene(scene)
    return scene
