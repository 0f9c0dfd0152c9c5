"""Advanced: which model runs where."""

from __future__ import annotations

from pathlib import Path

import qt
from slicer.i18n import tr as _

from ..core.bundles import DEFAULT_MODEL, DEVICES
from ..core.resources import resource_path
from . import dependencies
from .finding import Settings


class AdvancedSection:
    """Settings that most people never need."""

    def __init__(self, ui) -> None:
        self._ui = ui
        for metadata in sorted(resource_path("Models").glob("*/configs/metadata.json")):
            ui.modelComboBox.addItem(metadata.parents[1].name, metadata.parents[1].name)
        ui.modelComboBox.setCurrentIndex(ui.modelComboBox.findData(DEFAULT_MODEL))
        for device in DEVICES:
            ui.deviceComboBox.addItem(device, device)
        ui.modelFolderButton.connect("clicked()", self._on_model_folder)

    def settings(self) -> Settings:
        """What is chosen."""
        models, devices = self._ui.modelComboBox, self._ui.deviceComboBox
        return Settings(models.itemData(models.currentIndex), devices.itemData(devices.currentIndex))

    def update(self) -> None:
        """Say what the first run will install."""
        text = dependencies.first_run_text()
        self._ui.firstRunLabel.text = text
        self._ui.firstRunLabel.visible = bool(text)

    def _on_model_folder(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self._ui.modelFolderButton, _("Model bundle"))
        if folder:
            self._ui.modelComboBox.addItem(Path(folder).name, folder)
            self._ui.modelComboBox.setCurrentIndex(self._ui.modelComboBox.count - 1)
