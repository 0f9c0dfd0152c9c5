"""The series that were found where the scouts were loaded: what each is, whether it is used and why, and a choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import qt
from slicer.i18n import tr as _

from ..core.scouts.series import IMAGE, SeriesInfo
from .shared.enabling import allow

SERIES, WHAT, REASON = range(3)
HEADER_HEIGHT, ROW_HEIGHT, SHOWN_ROWS = 24, 20, 5


class SeriesList:
    """A table of series with ticks at those that are used; hidden where there is nothing to choose.

    Descriptions may identify a patient: they are shown, and stored nowhere.
    """

    def __init__(self, ui, on_choice: Callable[[list[str]], None]) -> None:
        """
        Args:
            on_choice: receives the keys of the series that the user ticked.
        """
        self._ui, self._on_choice = ui, on_choice
        self._series: tuple[SeriesInfo, ...] = ()
        self._busy = ""
        table = ui.seriesTable
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Series"), _("What it is"), _("Why")])
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.horizontalHeader().setStretchLastSection(True)
        for column, width in ((SERIES, 118), (WHAT, 92)):
            table.setColumnWidth(column, width)
        table.connect("cellChanged(int,int)", lambda _row, _column: self._allow())
        ui.useSeriesButton.connect("clicked()", lambda: self._on_choice(self.ticked()))
        self.show(())

    def show(self, series: Sequence[SeriesInfo]) -> None:
        """List ``series``; none hides the list."""
        self._series = tuple(series)
        table = self._ui.seriesTable
        blocked = table.blockSignals(True)
        table.setRowCount(len(self._series))
        for number, info in enumerate(self._series):
            for column, text in ((SERIES, _name(info)), (WHAT, info.kind), (REASON, info.reason)):
                table.setItem(number, column, _item(text, info, column == SERIES))
        table.blockSignals(blocked)
        worth_showing = any(not info.used for info in self._series)
        table.minimumHeight = table.maximumHeight = HEADER_HEIGHT + ROW_HEIGHT * min(len(self._series), SHOWN_ROWS)
        table.visible = self._ui.useSeriesButton.visible = worth_showing
        self._allow()

    def update(self, busy: str) -> None:
        """Enable the choice unless a job runs; ``busy`` says so."""
        self._busy = busy
        self._allow()

    def ticked(self) -> list[str]:
        """Keys of the series that are ticked."""
        table = self._ui.seriesTable
        return [
            info.key
            for number, info in enumerate(self._series)
            if _can_be_chosen(info) and table.item(number, SERIES).checkState() == qt.Qt.Checked
        ]

    def _allow(self) -> None:
        used = [info.key for info in self._series if info.used and _can_be_chosen(info)]
        ticked = self.ticked()
        unchanged = _("These are the series that are used.") if ticked == used else ""
        none = "" if ticked else _("Tick at least one series.")
        tip = _("Read the scouts again from the ticked series, whatever they are")
        allow(self._ui.useSeriesButton, tip, self._busy or none or unchanged)


def _can_be_chosen(info: SeriesInfo) -> bool:
    """DICOM series that show something in space; image files count as they were named."""
    return info.kind != IMAGE and bool(info.planes)


def _name(info: SeriesInfo) -> str:
    return f"{info.number} {info.description}".strip() or info.title


def _what(info: SeriesInfo) -> str:
    planes = ", ".join(f"{plane} {count}" for plane, count in info.planes)
    return f"{info.kind}: {planes}" if planes else info.kind


def _item(text: str, info: SeriesInfo, with_tick: bool):
    item = qt.QTableWidgetItem(text)
    flags = qt.Qt.ItemIsEnabled
    if with_tick and _can_be_chosen(info):
        flags |= qt.Qt.ItemIsUserCheckable
        item.setCheckState(qt.Qt.Checked if info.used else qt.Qt.Unchecked)
    item.setFlags(flags)
    lines = (_name(info), _what(info), info.reason)
    item.setToolTip("<br>".join(escape(line) for line in lines))
    return item
