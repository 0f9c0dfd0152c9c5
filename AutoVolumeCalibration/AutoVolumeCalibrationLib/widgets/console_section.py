"""Console: the plan as the fields of one vendor's console, line by line, to type or to copy."""

from __future__ import annotations

from html import escape

import qt
import slicer
from slicer.i18n import tr as _

from ..core.planning.console.card import CardLine, ConsoleCard, card_text
from ..core.planning.console.cards import console_cards
from ..core.planning.side_in_words import side_in_words
from ..core.workflow.calibration import Calibration
from ..mrml.editing.current_study import CurrentStudy
from .shared.enabling import allow

FIELD, VALUE, COPY = range(3)
ROW_HEIGHT = 21

#: Where the application's settings keep whose console was shown last.
VENDOR = "AutoVolumeCalibration/Vendor"

#: Shows the whole prescription, DICOM vectors included, instead of a vendor's card.
ALL_NUMBERS = "DICOM"


class ConsoleSection:
    """The card of the chosen vendor with a button on each line that copies its value."""

    def __init__(self, ui, current: CurrentStudy) -> None:
        self._ui, self._current = ui, current
        self._cards: list[ConsoleCard] = []
        table = ui.consoleTable
        table.setColumnCount(3)
        table.horizontalHeader().hide()
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.horizontalHeader().setSectionResizeMode(FIELD, qt.QHeaderView.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(VALUE, qt.QHeaderView.Stretch)
        table.horizontalHeader().setSectionResizeMode(COPY, qt.QHeaderView.ResizeToContents)
        ui.vendorComboBox.connect("activated(int)", self._on_vendor)
        ui.copyAllButton.connect("clicked()", self._on_copy_all)

    def update(self) -> None:
        """Show the card of the current plan."""
        calibration = self._current.calibration
        self._cards = cards_of(calibration) if calibration else []
        self._fill_vendors()
        card = self._card()
        self._fill_table(card.lines if card else ())
        self._ui.consoleNotesLabel.text = _notes(card, calibration) if card and calibration else ""
        self._ui.consoleNotesLabel.visible = card is not None
        none = _("Calibrate first, or start by hand.") if card is None else ""
        allow(self._ui.copyAllButton, _("Copy all lines with their notes"), none)

    def _card(self) -> ConsoleCard | None:
        row = self._ui.vendorComboBox.currentIndex
        return self._cards[row] if 0 <= row < len(self._cards) else None

    def _fill_vendors(self) -> None:
        vendors, names = self._ui.vendorComboBox, [card.vendor for card in self._cards]
        if [vendors.itemText(row) for row in range(vendors.count)] != names:
            vendors.clear()
            vendors.addItems(names)
            wanted = slicer.app.userSettings().value(VENDOR, "")
            vendors.setCurrentIndex(max(0, vendors.findText(wanted)))

    def _fill_table(self, lines: tuple[CardLine, ...]) -> None:
        table = self._ui.consoleTable
        if table.rowCount != len(lines):
            table.setRowCount(len(lines))
            for number in range(len(lines)):
                self._add_row(number)
        for number, line in enumerate(lines):
            for column, text in ((FIELD, line.label), (VALUE, line.typed)):
                table.item(number, column).setText(text)
                table.item(number, column).setToolTip(f"<b>{escape(text)}</b><br>{escape(line.source)}")

    def _add_row(self, number: int) -> None:
        table = self._ui.consoleTable
        for column in (FIELD, VALUE):
            item = qt.QTableWidgetItem()
            item.setFlags(qt.Qt.ItemIsEnabled)
            table.setItem(number, column, item)
        button = qt.QToolButton()
        button.text = _("Copy")
        button.toolTip = _("Copy the value of this line")
        button.connect("clicked()", lambda: self._on_copy(number))
        table.setCellWidget(number, COPY, button)

    def _on_vendor(self, row: int) -> None:
        slicer.app.userSettings().setValue(VENDOR, self._ui.vendorComboBox.itemText(row))
        self.update()

    def _on_copy(self, number: int) -> None:
        card = self._card()
        if card is not None:
            # The value alone: a console's field takes no unit.
            qt.QApplication.clipboard().setText(card.lines[number].value)

    def _on_copy_all(self) -> None:
        card = self._card()
        if card is not None:
            qt.QApplication.clipboard().setText(card_text(card))


def cards_of(calibration: Calibration) -> list[ConsoleCard]:
    """The vendors' cards, and one of all numbers."""
    return [*console_cards(calibration), _all_numbers(calibration)]


def _all_numbers(calibration: Calibration) -> ConsoleCard:
    """The lines of the prescription's text: two spaces or more stand between term and value."""
    rows = (line.split("  ", 1) for line in calibration.prescription.to_text().splitlines())
    lines = tuple(CardLine(term.strip(), value.strip(), "", _("Computed from the box")) for term, value in rows)
    title = _("all numbers of the plan")
    return ConsoleCard(ALL_NUMBERS, title, lines, _("DICOM's own definitions of orientation and position."))


def _notes(card: ConsoleCard, calibration: Calibration) -> str:
    """The side of a limb, the notes before typing, and what the card was checked against."""
    side = side_in_words(calibration.frame, calibration.protocol.anatomy)
    which = [f"{side[:1].upper()}{side[1:]}"] if side else []
    return "\n".join([*which, *card.notes, _("Checked against: {evidence}").format(evidence=card.evidence)])
