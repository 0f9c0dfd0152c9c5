"""Export: landmarks and box as markups, everything as JSON, a picture and a scene; corrected studies to train on."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from ..core.storage.dataset import add_study, decided_by_person, study_names
from ..core.storage.results import REPORT_FILE, RESULT_FILES, SCENE_FILE
from ..core.workflow.calibration import Calibration
from ..mrml.editing.current_study import CurrentStudy
from ..mrml.editing.saving import PROTOCOL_FILE, save_plan
from . import requirements
from .job_runner import JobRunner
from .shared.dependencies import ensure
from .shared.enabling import allow

#: Where the application's settings keep the folder of the training set, which grows from study to study.
TRAINING_SET = "AutoVolumeCalibration/TrainingSet"


class ExportSection:
    """Writes the current plan into a folder, as the command line does."""

    def __init__(self, ui, current: CurrentStudy, jobs: JobRunner) -> None:
        self._ui, self._current, self._jobs = ui, current, jobs
        ui.exportButton.connect("clicked()", self._on_export)
        ui.trainingSetButton.connect("clicked()", self._on_training_set)

    def update(self) -> None:
        """Enable the export where there is a plan, and the training set where the user corrected it."""
        none = _("Calibrate first, or start by hand.") if self._current.calibration is None else ""
        tip = _("Save landmarks.mrk.json, scanbox.mrk.json, calibration.json and overview.png in a folder")
        allow(self._ui.exportButton, tip, none)
        tip = _("Add scouts, landmarks and box to a folder of studies to train on, without patient names and ids")
        allow(self._ui.trainingSetButton, tip, none or self._why_not_train())

    def _why_not_train(self) -> str:
        corrected = any(decided_by_person(self._current.require_calibration()))
        return "" if corrected else _("First correct a landmark: a model learns nothing from its own predictions.")

    def _on_export(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self._ui.exportButton, _("Folder for the results"))
        if not folder or not _may_write(Path(folder)):
            return
        with self._jobs.errors_shown():
            ensure(requirements.PICTURE)
            with slicer.util.WaitCursor():
                files = save_plan(
                    self._current.require_calibration(),
                    Path(folder),
                    study=self._current.require_study().name,
                    with_picture=self._ui.pictureCheckBox.checked,
                    with_scene=self._ui.sceneCheckBox.checked,
                )
            self._jobs.show_status(_("{count} files saved in {folder}.").format(count=len(files), folder=folder))

    def _on_training_set(self) -> None:
        settings, button = slicer.app.userSettings(), self._ui.trainingSetButton
        before = settings.value(TRAINING_SET, "")
        folder = qt.QFileDialog.getExistingDirectory(button, _("Folder of the training set"), before)
        if not folder:
            return
        with self._jobs.errors_shown():
            ensure(requirements.PLANNING)
            with slicer.util.WaitCursor():
                text = _add_to_training_set(Path(folder), self._current.require_calibration())
            settings.setValue(TRAINING_SET, folder)
            self._jobs.show_status(text)


def _add_to_training_set(folder: Path, calibration: Calibration) -> str:
    """Add the study; gives a sentence about what was added."""
    name = add_study(folder, calibration).name
    placed, removed = decided_by_person(calibration)
    text = _("Added as {name}: landmarks set by you: {placed}, removed: {removed}. Studies in the set: {count}.")
    return text.format(name=name, placed=len(placed), removed=len(removed), count=len(study_names(folder)))


def _may_write(folder: Path) -> bool:
    """Ask before results of an earlier plan are replaced."""
    present = [name for name in (*RESULT_FILES, REPORT_FILE, SCENE_FILE, PROTOCOL_FILE) if (folder / name).exists()]
    question = _("{folder} already holds {names}. Replace them?")
    return not present or slicer.util.confirmOkCancelDisplay(question.format(folder=folder, names=", ".join(present)))
