"""Landmarks: what was found, with which uncertainty, and the buttons to correct it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import qt
from slicer.i18n import tr as _

from ..core.anatomy.landmark import CORRECTED, MISSING, PREDICTED, Landmark
from ..core.anatomy.protocol import Protocol
from ..core.errors import ModelError
from ..core.models.anatomies import model_for
from ..core.models.store import model_folders
from ..core.report.style import GREY
from ..core.workflow.calibration import Calibration
from ..core.workflow.manual_planning import is_by_hand
from ..mrml.editing.current_study import CurrentStudy
from ..mrml.landmark_nodes import DOUBTFUL_COLOR, SURE_COLOR, is_uncertain
from ..mrml.slice_views import jump_to, start_place_mode
from ..mrml.study_nodes import Study
from . import requirements
from .advanced_section import AdvancedSection
from .detection_job import repredict_landmarks
from .job_runner import JobRunner
from .messages import errors_shown
from .shared.dependencies import ensure
from .shared.enabling import allow

NAME, TITLE, SD, STATUS = range(4)
ROW_HEIGHT, ICON_SIZE = 20, 10


@dataclass(frozen=True)
class Row:
    """What the table shows of one landmark; a click moves the views to ``position_mm`` (3,) RAS."""

    name: str
    title: str
    status: str
    sd: str
    tooltip: str
    color: str
    needs_review: bool
    position_mm: np.ndarray


class LandmarksSection:
    """The table of landmarks and the buttons for the selected one.

    Attributes:
        predict: runs in the thread, see ``detection_job.repredict_landmarks``; another one in tests.
    """

    def __init__(self, ui, current: CurrentStudy, jobs: JobRunner, advanced: AdvancedSection) -> None:
        self._ui, self._current, self._jobs, self._advanced = ui, current, jobs, advanced
        self.predict: Callable[..., Calibration] = repredict_landmarks
        self._rows: list[Row] = []
        #: The landmarks that come first, and the predictions that they were chosen from.
        self._first: set[str] = set()
        self._first_of: tuple[Landmark, ...] = ()
        table = ui.landmarksTable
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Landmark"), _("Title"), _("± mm"), _("Status")])
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.setWordWrap(False)
        table.setIconSize(qt.QSize(ICON_SIZE, ICON_SIZE))
        table.horizontalHeader().setSectionResizeMode(TITLE, qt.QHeaderView.Stretch)
        for column, width in ((NAME, 98), (SD, 42), (STATUS, 112)):
            table.setColumnWidth(column, width)
        table.connect("itemSelectionChanged()", self._on_selected)
        table.connect("cellClicked(int,int)", lambda _row, _column: self._jump())  # again, after the views were moved
        ui.placeButton.connect("clicked()", self._on_place)
        ui.restoreButton.connect("clicked()", lambda: self._change(self._current.restore, self.selected()))
        ui.restoreAllButton.connect("clicked()", lambda: self._change(self._current.restore))
        ui.followButton.connect("clicked()", self._on_repredict)
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
        """Show the landmarks of the current plan and enable the buttons that apply."""
        calibration = self._current.calibration
        rows = self._in_order(calibration) if calibration else []
        count = sum(row.needs_review for row in rows)
        text = _("Only the {count} to review") if count else _("None to review")
        self._ui.onlyDoubtfulCheckBox.text = text.format(count=count)
        if self._ui.onlyDoubtfulCheckBox.checked:
            rows = [row for row in rows if row.needs_review]
        self._show(rows)
        self._allow()
        node = self._current.study.landmarks if self._current.study else None
        if calibration and node is not None:
            self._ui.namesCheckBox.checked = bool(node.GetDisplayNode().GetPointLabelsVisibility())

    def _in_order(self, calibration: Calibration) -> list[Row]:
        """The rows, those to review first.

        Which come first is decided anew by each detection only: no row moves away while the user corrects.
        """
        rows = rows_of(calibration)
        if calibration.predicted != self._first_of:
            self._first_of = calibration.predicted
            self._first = {row.name for row in rows if row.needs_review}
        return sorted(rows, key=lambda row: row.name not in self._first)

    def _show(self, rows: list[Row]) -> None:
        """Write the rows and keep the selected landmark selected; cells that are right already are not touched."""
        table, selected = self._ui.landmarksTable, self.selected()
        names_changed = [row.name for row in rows] != [row.name for row in self._rows]
        self._rows = rows
        blocked = table.blockSignals(True)
        if names_changed:
            table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in ((NAME, row.name), (TITLE, row.title), (STATUS, row.status), (SD, row.sd)):
                _set_cell(table, number, column, text, row)
        if names_changed:
            table.clearSelection()
            kept = [number for number, row in enumerate(rows) if row.name == selected]
            if kept:
                table.selectRow(kept[0])
        table.blockSignals(blocked)

    def _allow(self) -> None:
        ui, calibration = self._ui, self._current.calibration
        none = _("Calibrate first, or start by hand.") if calibration is None else ""
        if self._jobs.busy:
            none = _("Wait until the current job is done, or cancel it.")
        name = self.selected()
        unchosen = none or ("" if name else _("Click a landmark in the table first."))
        status = {landmark.name: landmark.status for landmark in calibration.landmarks} if calibration else {}
        predicted = {landmark.name: landmark.status for landmark in calibration.predicted} if calibration else {}
        changed = [key for key in status if status[key] != predicted.get(key, MISSING)]
        allow(ui.placeButton, _("Place the landmark with a click in a slice view"), unchosen)
        unmoved = "" if name in changed else _("This landmark was not corrected.")
        allow(ui.restoreButton, _("Move the landmark back to its prediction"), unchosen or unmoved)
        uncorrected = "" if changed else _("No landmark was corrected.")
        allow(ui.restoreAllButton, _("Move all landmarks back to their predictions"), none or uncorrected)
        invisible = _("This landmark has no position yet.") if name and status[name] == MISSING else ""
        allow(
            ui.lockButton,
            _("A locked landmark cannot be moved with the mouse; corrected ones are locked"),
            unchosen or invisible,
        )
        ui.lockButton.text = _("Unlock") if not (unchosen or invisible) and self._is_locked(name) else _("Lock")
        allow(ui.undoButton, _("Undo"), none or ("" if self._current.can_undo else _("There is nothing to undo.")))
        allow(ui.redoButton, _("Redo"), none or ("" if self._current.can_redo else _("There is nothing to redo.")))
        self._allow_repredict(none)

    def _allow_repredict(self, none: str) -> None:
        reason = none or self._why_not_repredict()
        if reason or self._uses_model():
            tip = _("Rerun detection for all landmarks that you did not place, guided by yours")
        else:
            tip = _("Move all landmarks that you did not place to where yours predict them; the box does not change")
        allow(self._ui.followButton, tip, reason)

    def _why_not_repredict(self) -> str:
        landmarks = self._current.require_calibration().landmarks
        placed = any(landmark.status == CORRECTED for landmark in landmarks)
        return "" if placed else _("First drag a landmark to its position.")

    def _uses_model(self) -> bool:
        """Whether a model runs: by hand none is needed, and nothing is installed for it."""
        calibration = self._current.require_calibration()
        if not is_by_hand(calibration):
            return True
        has_model = self._advanced.settings().model or _has_model(calibration.protocol)
        return bool(has_model) and not requirements.NETWORK.missing()

    def _on_repredict(self) -> None:
        with self._jobs.errors_shown():
            if not self._uses_model():
                self._current.propagate_corrections()
                return
            ensure(requirements.PLANNING)
            settings = self._advanced.settings()
            ensure(requirements.network_of(settings.model, settings.device))
            study, calibration = self._current.require_study(), self._current.require_calibration()
            corrections = self._current.engine.corrections(study)
            self._jobs.start(
                _("Rerunning detection..."),
                lambda progress, cancelled: self.predict(calibration, settings, corrections, progress, cancelled),
                lambda found: self._on_found(study, found, corrections),
            )

    def _on_found(self, study: Study, calibration: Calibration, corrections: Sequence[Landmark]) -> None:
        self._current.show_found(study, calibration, corrections)
        landmarks = self._current.require_calibration().landmarks
        found = sum(landmark.status == PREDICTED for landmark in landmarks)
        text = _("{found} landmarks found, guided by yours. Undo reverts this.")
        self._jobs.show_status(text.format(found=found))

    def _is_locked(self, name: str) -> bool:
        node = self._current.require_landmarks()
        return bool(node.GetNthControlPointLocked(node.GetControlPointIndexByLabel(name)))

    def _on_selected(self) -> None:
        self._allow()
        self._jump()

    def _jump(self) -> None:
        """Move the views to the selected landmark, or to where it is expected."""
        name = self.selected()
        if name:
            position = next(row.position_mm for row in self._rows if row.name == name)
            jump_to(self._current.engine.scene, position)

    def _on_names(self, shown: bool) -> None:
        if self._current.study is not None and self._current.study.landmarks is not None:
            self._current.study.landmarks.GetDisplayNode().SetPointLabelsVisibility(shown)

    def _on_place(self) -> None:
        with errors_shown():
            self._current.start_placing(self.selected())
            start_place_mode(self._current.require_landmarks())
            self._jobs.show_status(_("Click the position of {name} in a slice view.").format(name=self.selected()))

    def _on_lock(self) -> None:
        node = self._current.require_landmarks()
        index = node.GetControlPointIndexByLabel(self.selected())
        node.SetNthControlPointLocked(index, not node.GetNthControlPointLocked(index))
        self._allow()

    def _change(self, change, *arguments) -> None:
        with errors_shown():
            change(*arguments)


def _has_model(protocol: Protocol) -> bool:
    """Whether a model of the protocol's anatomy is installed."""
    try:
        model_for(protocol)
    except ModelError:
        return False
    return bool(model_folders())


def rows_of(calibration: Calibration) -> list[Row]:
    """One row for each landmark, in the order of the protocol."""
    entries = {entry.name: entry for entry in calibration.protocol.constellation.landmarks}
    return [_row(landmark, entries[landmark.name], calibration) for landmark in calibration.landmarks]


def _row(landmark: Landmark, entry, calibration: Calibration) -> Row:
    status, sd = _status(landmark, calibration)
    missing = landmark.status == MISSING
    # The table has the colours of the views: one for what is certain, one for what is to be reviewed.
    uncertain = missing or is_uncertain(landmark, calibration)
    color = GREY if missing else _hex(DOUBTFUL_COLOR if uncertain else SURE_COLOR)
    expected = calibration.frame.expected_mm[landmark.name]
    return Row(
        landmark.name,
        entry.title,
        status,
        sd,
        f"<b>{entry.title}</b><br>{entry.definition}<br>{_explanation(landmark, calibration)}",
        color,
        uncertain,
        expected if landmark.position_mm is None else landmark.position_mm,
    )


def _status(landmark: Landmark, calibration: Calibration) -> tuple[str, str]:
    """The status in words, and the standard deviation in mm: of the depth where the user placed it in one plane."""
    if landmark.status == MISSING:
        return _("missing"), ""
    sd = f"{landmark.sd_mm:.1f}"
    if landmark.status == CORRECTED:
        free = landmark.free_direction
        if free is None:
            return _("set by you"), ""
        sd = f"{np.sqrt(free @ landmark.covariance_mm2 @ free):.1f}"
        contradicts = landmark.name in calibration.frame.outliers
        return (_("depth unsure") if contradicts else _("set in one plane")), sd
    if landmark.name in calibration.frame.outliers:
        return _("contradicts"), sd
    if is_by_hand(calibration):
        return _("typical"), sd
    return (_("unsure") if is_uncertain(landmark, calibration) else _("found")), sd


def _explanation(landmark: Landmark, calibration: Calibration) -> str:
    """What the status means and what to do."""
    if landmark.status == MISSING:
        return _("Missing: a click shows where it is expected.")
    if landmark.status == CORRECTED and landmark.free_direction is not None:
        return _("You placed it within one slice; its depth is as uncertain as stated. Drag it in another view too.")
    if landmark.name in calibration.frame.outliers:
        return _("It contradicts the other landmarks: check its position.")
    return ""


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
