"""Data: training and validation data sets, and what a check finds in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from AutoVolumeCalibrationLib.mrml.signal import Signal
from AutoVolumeCalibrationLib.widgets.shared.background_job import BackgroundJob
from AutoVolumeCalibrationLib.widgets.shared.dependencies import ensure
from AutoVolumeCalibrationLib.widgets.shared.enabling import allow

from ..core.datasets.findings import Finding, has_errors, report
from . import requirements
from .choices import Choices
from .engine import DatasetSize, TrainingEngine
from .messages import errors_shown, show_error

#: Where the application's settings remember the training set that Auto Volume Calibration adds studies to.
TRAINING_SET = "AutoVolumeCalibration/TrainingSet"

#: Data-set folder -> what the check found in it.
Found = Mapping[str, Sequence[Finding]]


class DataSection:
    """Chooses folders and checks them.

    Attributes:
        found: findings of the last check; None where the chosen data sets were not checked.
        changed: emitted when a check begins or ends.
    """

    def __init__(self, ui, choices: Choices, engine: TrainingEngine, protocol: Callable[[], str]) -> None:
        self._ui, self._choices, self._engine, self._protocol = ui, choices, engine, protocol
        self.found: Found | None = None
        self.changed = Signal()
        self._job: BackgroundJob | None = None
        self._sizes: dict[str, DatasetSize] = {}
        self._paths = {"validation": ui.validationPath, "labels": ui.labelsPath}
        for name, path in self._paths.items():
            path.filters = ctk.ctkPathLineEdit.Dirs
            path.connect("currentPathChanged(QString)", lambda text, name=name: choices.change(**{name: text}))
        self._set_up_table()
        ui.addDatasetButton.connect("clicked()", self._on_add)
        ui.removeDatasetButton.connect("clicked()", self._on_remove)
        ui.checkButton.connect("clicked()", self._on_check)
        ui.datasetsTable.connect("itemSelectionChanged()", self.update)

    @property
    def checking(self) -> bool:
        return self._job is not None

    def subjects(self) -> int:
        """How many subjects the chosen data sets hold."""
        return sum(self._size(folder).subjects for folder in self._choices.now.datasets)

    @property
    def has_errors(self) -> bool:
        """Whether the check found errors in the chosen data sets; False where they were not checked."""
        return any(has_errors(findings) for findings in (self.found or {}).values())

    def why_no_studies(self) -> str:
        """What is missing before a model can be trained on studies, as a sentence."""
        chosen = self._choices.now
        if not chosen.datasets:
            return _("Add a data set: the folder that 'Add to training set' of Auto Volume Calibration made.")
        for folder in (*chosen.datasets, *filter(None, [chosen.validation])):
            size = self._size(folder)
            if size.problem:
                return size.problem
            if not size.studies:
                return _("{folder} holds no studies. Choose the folder of a data set.").format(folder=folder)
        if chosen.validation in chosen.datasets:
            return _("The validation set must not be used for training: choose other studies.")
        return ""

    def why_no_labels(self) -> str:
        """What is missing before a model can be trained on label maps, as a sentence."""
        labels = self._choices.now.labels
        if not labels:
            return _("Choose the folder of label maps (Data).")
        return "" if Path(labels).is_dir() else _("{folder} is not a folder.").format(folder=labels)

    def update(self) -> None:
        """Show the chosen data sets and the findings of the last check."""
        chosen = self._choices.now
        if self.found is not None and tuple(self.found) != chosen.datasets:
            self.found = None
        for name, path in self._paths.items():
            if path.currentPath != getattr(chosen, name):
                path.currentPath = getattr(chosen, name)
        self._fill_table(chosen.datasets)
        self._show_report()
        busy = _("The data are being checked.") if self.checking else ""
        none = "" if chosen.datasets else _("Add a data set first.")
        unselected = "" if self._ui.datasetsTable.currentRow() >= 0 else _("Select a data set in the table first.")
        allow(self._ui.addDatasetButton, _("Add a folder of studies to train on"), busy)
        allow(
            self._ui.removeDatasetButton,
            _("Do not train on the selected data set; its files stay as they are"),
            unselected,
        )
        tip = _("Check for wrong names, duplicate points, swapped sides, points outside the images, ...")
        allow(self._ui.checkButton, tip, none or busy)

    def refresh(self) -> None:
        """Count the studies again: some may have been added meanwhile."""
        self._sizes.clear()
        self.update()

    def close(self) -> None:
        if self._job is not None:
            self._job.abandon()

    def _set_up_table(self) -> None:
        table = self._ui.datasetsTable
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Data set"), _("Studies"), _("People")])
        table.verticalHeader().visible = False
        table.verticalHeader().setDefaultSectionSize(20)
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)

    def _fill_table(self, folders: Sequence[str]) -> None:
        table = self._ui.datasetsTable
        rows = [self._cells(folder) for folder in folders]
        shown = [tuple(table.item(r, c).text() for c in range(3)) for r in range(table.rowCount)]
        if rows == shown:
            return
        table.blockSignals(True)  # no events from a half-filled table
        table.setRowCount(len(rows))
        for row, (cells, folder) in enumerate(zip(rows, folders, strict=True)):
            for column, text in enumerate(cells):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(self._size(folder).problem or folder)
                table.setItem(row, column, item)
        table.blockSignals(False)

    def _cells(self, folder: str) -> tuple[str, str, str]:
        size = self._size(folder)
        counts = ("?", "?") if size.problem else (str(size.studies), str(size.subjects))
        return (Path(folder).name, *counts)

    def _size(self, folder: str) -> DatasetSize:
        if folder not in self._sizes:
            self._sizes[folder] = self._engine.size(Path(folder))
        return self._sizes[folder]

    def _on_add(self) -> None:
        before = slicer.app.userSettings().value(TRAINING_SET, "")
        folder = qt.QFileDialog.getExistingDirectory(self._ui.addDatasetButton, _("Folder of a data set"), before)
        if not folder:
            return
        with errors_shown():
            ensure(requirements.READING)
            self._sizes.pop(folder, None)
            chosen = self._choices.now.datasets
            self._choices.change(datasets=(*(other for other in chosen if other != folder), folder))

    def _on_remove(self) -> None:
        row = self._ui.datasetsTable.currentRow()
        chosen = self._choices.now.datasets
        self._choices.change(datasets=chosen[:row] + chosen[row + 1 :])

    def _on_check(self) -> None:
        with errors_shown():
            ensure(requirements.READING)
            folders, protocol, check = self._choices.now.datasets, self._protocol(), self._engine.check
            self.found, self._sizes = None, {}
            self._job = BackgroundJob(
                lambda _progress, _cancelled: {folder: check(Path(folder), protocol) for folder in folders},
                on_done=self._on_checked,
                on_failed=self._on_check_failed,
            )
            self.changed.emit()

    def _on_checked(self, found: Found) -> None:
        self._job, self.found = None, found
        self.changed.emit()

    def _on_check_failed(self, error: Exception) -> None:
        self._job = None
        self.changed.emit()
        show_error(error)

    def _show_report(self) -> None:
        browser = self._ui.reportBrowser
        browser.visible = self.checking or self.found is not None
        if self.checking:
            browser.setPlainText(_("Checking..."))
        elif self.found is not None:
            browser.setMarkdown(self._report(self.found))

    def _report(self, found: Found) -> str:
        """Markdown, with headings of the size of text: the browser is small."""
        parts = []
        for folder, findings in found.items():
            title = f"#### {Path(folder).name}\n\n" if len(found) > 1 else ""
            parts.append(title + report(findings, self._size(folder).studies).replace("## ", "#### "))
        return "\n".join(parts)
