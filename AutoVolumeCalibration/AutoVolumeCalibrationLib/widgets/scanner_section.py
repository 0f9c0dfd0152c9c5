"""The box in the scanner's terms, to read or copy."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from ..core.planning.prescription import Prescription
from .current_study import CurrentStudy
from .shared.enabling import allow

ROW_HEIGHT = 20


class ScannerSection:
    """A table of terms and values with buttons that copy them."""

    def __init__(self, ui, current: CurrentStudy) -> None:
        self._ui, self._current = ui, current
        table = ui.scannerTable
        table.setColumnCount(2)
        table.horizontalHeader().hide()
        table.verticalHeader().hide()
        table.horizontalHeader().setStretchLastSection(True)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.setColumnWidth(0, 110)
        table.connect("itemSelectionChanged()", self._allow)
        ui.copyTermButton.connect("clicked()", self._on_copy_term)
        ui.copyAllButton.connect("clicked()", self._on_copy_all)

    def update(self) -> None:
        """Show the prescription of the current plan."""
        calibration, table = self._current.calibration, self._ui.scannerTable
        rows = terms(calibration.prescription) if calibration else []
        table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                if table.item(number, column) is None:
                    table.setItem(number, column, _read_only_item())
                table.item(number, column).setText(text)
                table.item(number, column).setToolTip(text)
        self._allow()

    def _allow(self) -> None:
        none = _("Calibrate first, or start by hand.") if self._current.calibration is None else ""
        unchosen = "" if self._ui.scannerTable.selectedItems() else _("Click a line of the table first.")
        allow(self._ui.copyTermButton, _("Copy the value of the chosen line"), none or unchosen)
        allow(self._ui.copyAllButton, _("Copy the whole prescription"), none)

    def _on_copy_term(self) -> None:
        row = self._ui.scannerTable.currentRow()
        qt.QApplication.clipboard().setText(self._ui.scannerTable.item(row, 1).text())

    def _on_copy_all(self) -> None:
        qt.QApplication.clipboard().setText(self._current.require_calibration().prescription.to_text())


def terms(prescription: Prescription) -> list[tuple[str, str]]:
    """(term, value) of each line of the prescription's text: two spaces or more stand between them."""
    lines = (line.split("  ", 1) for line in prescription.to_text().splitlines())
    return [(term.strip(), value.strip()) for term, value in lines]


def _read_only_item():
    item = qt.QTableWidgetItem()
    item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
    return item
