"""Landmarks: what was found, how sure, and everything a person can do about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import qt
from slicer.i18n import tr as _

from ..core.anatomy.landmark import CORRECTED, MISSING, PREDICTED, Landmark
from ..core.models.store import model_folders
from ..core.report.style import CORRECTED_MARK, GREY, OUTLIER, confidence_colour
from ..core.workflow.calibration import Calibration
from ..core.workflow.manual_planning import is_by_hand
from ..mrml.landmark_nodes import DOUBTFUL_CONFIDENCE
from ..mrml.study_nodes import Study
from . import requirements, slice_views
from .advanced_section import AdvancedSection
from .current_study import CurrentStudy
from .detection_job import repredict_landmarks
from .job_runner import JobRunner
from .messages import errors_shown
from .shared.dependencies import ensure
from .shared.enabling import allow

NAME, SD, STATUS = range(3)
ROW_HEIGHT = 22


@dataclass(frozen=True)
class Row:
    """What the table shows of one landmark; ``place_mm`` (3,) RAS is where a click leads."""

    name: str
    status: str
    sd: str
    tooltip: str
    color: str
    needs_look: bool
    place_mm: np.ndarray


class LandmarksSection:
    """The table of landmarks and the buttons for the selected one.

    Attributes:
        predict: what is run in the thread, see ``detection_job.repredict_landmarks``; another one in tests.
    """

    def __init__(self, ui, current: CurrentStudy, jobs: JobRunner, advanced: AdvancedSection) -> None:
        self._ui, self._current, self._jobs, self._advanced = ui, current, jobs, advanced
        self.predict: Callable[..., Calibration] = repredict_landmarks
        self._rows: list[Row] = []
        table = ui.landmarksTable
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Landmark"), _("± mm"), _("Status")])
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.horizontalHeader().setStretchLastSection(True)
        table.setColumnWidth(NAME, 120)
        table.setColumnWidth(SD, 56)
        table.connect("itemSelectionChanged()", self._on_selected)
        table.connect("cellClicked(int,int)", lambda _row, _column: self._jump())  # again, after the views were moved
        ui.placeButton.connect("clicked()", self._on_place)
        ui.restoreButton.connect("clicked()", lambda: self._change(self._current.restore, self.selected()))
        ui.restoreAllButton.connect("clicked()", lambda: self._change(self._current.restore))
        ui.followButton.connect("clicked()", self._on_follow)
        ui.undoButton.connect("clicked()", lambda: self._change(self._current.undo))
        ui.redoButton.connect("clicked()", lambda: self._change(self._current.redo))
        ui.lockButton.connect("clicked()", self._on_lock)
        ui.namesCheckBox.connect("toggled(bool)", self._on_names)
        ui.onlyDoubtfulCheckBox.connect("toggled(bool)", lambda _checked: self.update())

    def selected(self) -> str:
        """Name of the selected landmark, empty where none is."""
        row = self._ui.landmarksTable.currentRow()
        chosen = self._ui.landmarksTable.selectedItems()
        return self._rows[row].name if chosen and 0 <= row < len(self._rows) else ""

    def update(self) -> None:
        """Show the landmarks of the current plan and allow what can be done with them."""
        calibration = self._current.calibration
        rows = rows_of(calibration) if calibration else []
        if self._ui.onlyDoubtfulCheckBox.checked:
            rows = [row for row in rows if row.needs_look]
        self._show(rows)
        self._allow()
        if calibration and self._current.study.landmarks:
            display = self._current.study.landmarks.GetDisplayNode()
            self._ui.namesCheckBox.checked = bool(display.GetPointLabelsVisibility())

    def _show(self, rows: list[Row]) -> None:
        """Write the rows, keeping the selected landmark selected; cells that are right are not touched."""
        table, selected = self._ui.landmarksTable, self.selected()
        names_changed = [row.name for row in rows] != [row.name for row in self._rows]
        self._rows = rows
        blocked = table.blockSignals(True)
        if names_changed:
            table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in ((NAME, row.name), (STATUS, row.status), (SD, row.sd)):
                _set_cell(table, number, column, text, row)
        if names_changed:
            table.clearSelection()
            kept = [number for number, row in enumerate(rows) if row.name == selected]
            if kept:
                table.selectRow(kept[0])
        table.blockSignals(blocked)

    def _allow(self) -> None:
        ui, calibration = self._ui, self._current.calibration
        none = _("Calibrate first, or begin by hand.") if calibration is None else ""
        if self._jobs.busy:
            none = _("Wait until the work under way is done, or cancel it.")
        name = self.selected()
        unchosen = none or ("" if name else _("Click a landmark in the table first."))
        status = {mark.name: mark.status for mark in calibration.landmarks} if calibration else {}
        predicted = {mark.name: mark.status for mark in calibration.predicted} if calibration else {}
        changed = [key for key in status if status[key] != predicted.get(key, MISSING)]
        allow(ui.placeButton, _("Place the point with a click in a slice view"), unchosen)
        unmoved = "" if name in changed else _("This point was not corrected.")
        allow(ui.restoreButton, _("Put the point back to where it was predicted"), unchosen or unmoved)
        uncorrected = "" if changed else _("No point was corrected.")
        allow(ui.restoreAllButton, _("Put all points back to where they were predicted"), none or uncorrected)
        placeless = _("This point has no place yet.") if name and status[name] == MISSING else ""
        allow(
            ui.lockButton,
            _("A locked point cannot be moved with the mouse; corrected points are locked"),
            unchosen or placeless,
        )
        ui.lockButton.text = _("Unlock") if not (unchosen or placeless) and self._is_locked(name) else _("Lock")
        allow(ui.undoButton, _("Undo"), none or ("" if self._current.can_undo else _("There is nothing to undo.")))
        allow(ui.redoButton, _("Redo"), none or ("" if self._current.can_redo else _("There is nothing to redo.")))
        self._allow_follow(none)

    def _allow_follow(self, none: str) -> None:
        reason = none or self._why_not_follow()
        if reason or self._looks_again():
            tip = _("Look again for all points that you did not place, with yours telling how the head lies")
        else:
            tip = _("Move all points that you did not place to where yours let expect them; the box does not change")
        allow(self._ui.followButton, tip, reason)

    def _why_not_follow(self) -> str:
        placed = any(mark.status == CORRECTED for mark in self._current.calibration.landmarks)
        return "" if placed else _("Drag a point to its place first.")

    def _looks_again(self) -> bool:
        """Whether a model is asked: by hand none is needed, and nothing is installed for it."""
        if not is_by_hand(self._current.calibration):
            return True
        has_model = self._advanced.settings().model or model_folders()
        return bool(has_model) and not requirements.NETWORK.missing()

    def _on_follow(self) -> None:
        with errors_shown():
            if not self._looks_again():
                self._current.propagate_corrections()
                return
            ensure(requirements.PLANNING, requirements.NETWORK)
            study, calibration = self._current.study, self._current.calibration
            settings, corrections = self._advanced.settings(), self._current.engine.corrections(study)
            self._jobs.start(
                _("Looking again..."),
                lambda progress, cancelled: self.predict(calibration, settings, corrections, progress, cancelled),
                lambda found: self._on_found(study, found, corrections),
            )

    def _on_found(self, study: Study, calibration: Calibration, corrections: Sequence[Landmark]) -> None:
        self._current.show_found(study, calibration, corrections)
        found = sum(mark.status == PREDICTED for mark in self._current.calibration.landmarks)
        text = _("{found} points were found, with yours telling how the head lies. Undo takes it back.")
        self._jobs.show_status(text.format(found=found))

    def _is_locked(self, name: str) -> bool:
        node = self._current.study.landmarks
        return bool(node.GetNthControlPointLocked(node.GetControlPointIndexByLabel(name)))

    def _on_selected(self) -> None:
        self._allow()
        self._jump()

    def _jump(self) -> None:
        """Lead the views to the selected landmark, or to where it is expected."""
        name = self.selected()
        if name:
            place = next(row.place_mm for row in self._rows if row.name == name)
            slice_views.jump_to(self._current.engine.scene, place)

    def _on_names(self, shown: bool) -> None:
        if self._current.study is not None and self._current.study.landmarks is not None:
            self._current.study.landmarks.GetDisplayNode().SetPointLabelsVisibility(shown)

    def _on_place(self) -> None:
        with errors_shown():
            self._current.start_placing(self.selected())
            slice_views.start_place_mode(self._current.study.landmarks)
            self._jobs.show_status(_("Click the place of {name} in a slice view.").format(name=self.selected()))

    def _on_lock(self) -> None:
        node = self._current.study.landmarks
        index = node.GetControlPointIndexByLabel(self.selected())
        node.SetNthControlPointLocked(index, not node.GetNthControlPointLocked(index))
        self._allow()

    def _change(self, change, *arguments) -> None:
        with errors_shown():
            change(*arguments)


def rows_of(calibration: Calibration) -> list[Row]:
    """One row for each landmark, in the order of the protocol."""
    entries = {entry.name: entry for entry in calibration.protocol.constellation.landmarks}
    return [_row(mark, entries[mark.name], calibration) for mark in calibration.landmarks]


def _row(mark: Landmark, entry, calibration: Calibration) -> Row:
    outlier = mark.name in calibration.frame.outliers
    doubtful = mark.status != CORRECTED and mark.confidence < DOUBTFUL_CONFIDENCE
    expected = calibration.frame.expected_mm[mark.name]
    if mark.status == MISSING:
        status, color, sd = _("missing: click shows where it is expected"), GREY, ""
    elif outlier:
        status, color, sd = _("contradicts the others"), OUTLIER, f"{mark.sd_mm:.1f}"
    elif mark.status == CORRECTED:
        status, color, sd = _("set by you"), CORRECTED_MARK, ""
    elif is_by_hand(calibration):
        status, color, sd = _("as in a typical head"), _hex(confidence_colour(0.0)), ""
    else:
        status = _("unsure") if doubtful else _("found")
        color, sd = _hex(confidence_colour(mark.confidence)), f"{mark.sd_mm:.1f}"
    return Row(
        mark.name,
        status,
        sd,
        f"<b>{entry.title}</b><br>{entry.definition}",
        color,
        mark.status == MISSING or outlier or doubtful,
        expected if mark.position_mm is None else mark.position_mm,
    )


def _set_cell(table, number: int, column: int, text: str, row: Row) -> None:
    item = table.item(number, column)
    if item is None:
        item = qt.QTableWidgetItem()
        item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
        table.setItem(number, column, item)
    if item.text() != text:
        item.setText(text)
    item.setToolTip(row.tooltip)
    if column == NAME:
        item.setData(qt.Qt.DecorationRole, qt.QColor(row.color))


def _hex(rgb: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
