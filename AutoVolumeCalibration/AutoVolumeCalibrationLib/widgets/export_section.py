"""Export: points and box as markups, everything as JSON, a picture, and a scene."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import qt
import slicer.util
from slicer.i18n import tr as _

from ..core.calibration import Calibration
from ..core.overview import draw_overview
from ..core.resources import resource_path
from ..core.results import OVERVIEW_FILE, RESULT_FILES, SCENE_FILE, write_results
from ..mrml.scene_file import save_scene
from . import dependencies
from .availability import allow
from .current_study import CurrentStudy
from .messages import errors_shown
from .work import Work

PROTOCOL_FILE = "protocol.json"

_Drawings = Mapping[str, Callable[[Calibration, Path], None]]


class ExportSection:
    """Writes the current plan into a folder, as the command line does."""

    def __init__(self, ui, current: CurrentStudy, work: Work) -> None:
        self._ui, self._current, self._work = ui, current, work
        ui.exportButton.connect("clicked()", self._on_export)

    def update(self) -> None:
        """Allow the export where there is a plan."""
        none = _("Calibrate first, or begin by hand.") if self._current.calibration is None else ""
        tip = _("Save landmarks.mrk.json, scanbox.mrk.json, calibration.json and overview.png in a folder")
        allow(self._ui.exportButton, tip, none)

    def _on_export(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self._ui.exportButton, _("Folder for the results"))
        if not folder or not _may_write(Path(folder)):
            return
        with errors_shown():
            dependencies.ensure(dependencies.PICTURE)
            with slicer.util.WaitCursor():
                files = export(
                    self._current.calibration,
                    Path(folder),
                    study=self._current.study.name,
                    with_picture=self._ui.pictureCheckBox.checked,
                    with_scene=self._ui.sceneCheckBox.checked,
                )
            self._work.say(_("{count} files saved in {folder}.").format(count=len(files), folder=folder))


def export(calibration: Calibration, folder: Path, *, study: str, with_picture: bool, with_scene: bool) -> list[Path]:
    """Write the files of a plan, all or none, replacing those of the same names; gives their paths.

    A protocol that is not shipped goes with them, so that the folder can be planned again elsewhere.

    Raises:
        UsageError: the folder cannot be written.
    """
    drawings: dict[str, Callable[[Calibration, Path], None]] = {}
    written = calibration
    source = calibration.protocol.source
    if not source.resolve().is_relative_to(resource_path("Protocols").resolve()):
        drawings[PROTOCOL_FILE] = lambda _calibration, path: shutil.copyfile(source, path)
        written = replace(calibration, protocol=replace(calibration.protocol, source=folder / PROTOCOL_FILE))
    if with_picture:
        drawings[OVERVIEW_FILE] = draw_overview
    if with_scene:
        # The plan as it is: the copy of its protocol only exists when all files do.
        drawings[SCENE_FILE] = lambda _calibration, path: save_scene(calibration, path, study=study)
    return write_results(written, folder, overwrite=True, study=study, drawings=drawings)


def _may_write(folder: Path) -> bool:
    """Ask before results of an earlier plan are replaced."""
    present = [name for name in (*RESULT_FILES, SCENE_FILE, PROTOCOL_FILE) if (folder / name).exists()]
    question = _("{folder} holds {names} already. Replace them?")
    return not present or slicer.util.confirmOkCancelDisplay(question.format(folder=folder, names=", ".join(present)))
