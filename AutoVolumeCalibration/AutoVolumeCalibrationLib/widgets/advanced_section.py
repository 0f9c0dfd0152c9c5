"""Advanced: which model runs on which device, and its detection threshold."""

from __future__ import annotations

from pathlib import Path

import qt
from slicer.i18n import tr as _

from ..core.errors import ModelError
from ..core.models.backend import DEVICES
from ..core.models.store import default_models, model_folders
from ..mrml.editing.current_study import CurrentStudy
from . import requirements
from .detection_job import DetectionSettings


class AdvancedSection:
    """Settings that most users never change."""

    def __init__(self, ui, current: CurrentStudy) -> None:
        self._ui, self._current = ui, current
        self._shown: tuple[str, float | None] = ("", None)
        self._folders: list[str] = []
        self.fill()
        for device in DEVICES:
            ui.deviceComboBox.addItem(device, device)
        ui.modelFolderButton.connect("clicked()", self._on_model_folder)

    def settings(self) -> DetectionSettings:
        """The chosen settings."""
        models, devices = self._ui.modelComboBox, self._ui.deviceComboBox
        return DetectionSettings(
            models.itemData(models.currentIndex) or None,
            devices.itemData(devices.currentIndex),
            self._ui.thresholdSpinBox.value or None,  # the smallest value stands for the model's own
        )

    def fill(self) -> None:
        """List the current model, all installed ones, and the folders chosen before; the selection stays."""
        models = self._ui.modelComboBox
        chosen = models.itemData(models.currentIndex) if models.count else ""
        models.clear()
        models.addItem(_("current ({name})").format(name=self._current_models()), "")
        for name in model_folders():
            models.addItem(name, name)
        for folder in self._folders:
            models.addItem(Path(folder).name, folder)
        models.setCurrentIndex(max(0, models.findData(chosen)))

    def _current_models(self) -> str:
        """The default model of each anatomy; "?" where a damaged file hides them, which Calibrate reports."""
        try:
            return ", ".join(default_models().values())
        except ModelError:
            return "?"

    def update(self) -> None:
        """Show the study's threshold, and what the first run will install."""
        self._show_threshold()
        text = requirements.first_run_text()
        self._ui.firstRunLabel.text = text
        self._ui.firstRunLabel.visible = bool(text)

    def _show_threshold(self) -> None:
        """Show the threshold of another study or plan; what the user sets after that stays until Calibrate."""
        study, calibration = self._current.study, self._current.calibration
        threshold = calibration.model.threshold if calibration and calibration.model else None
        shown = (study.node.GetID() if study else "", threshold)
        if shown != self._shown:
            self._shown = shown
            self._ui.thresholdSpinBox.value = threshold or 0.0

    def _on_model_folder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self._ui.modelFolderButton, _("Model bundle"))
        if folder:
            self._folders.append(folder)
            self.fill()
            self._ui.modelComboBox.setCurrentIndex(self._ui.modelComboBox.count - 1)
