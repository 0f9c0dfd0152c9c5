"""Box: protocol, margins with the coverage they give, live numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import qt
from slicer.i18n import tr as _

from ..core.anatomy.protocol import Protocol, box_rule
from ..core.anatomy.protocol_file import load_protocol
from ..core.errors import ModelError, ProtocolError
from ..core.files.atomic_write import write_text
from ..core.files.json_files import read_json
from ..core.files.resources import resource_path
from ..core.geometry.coordinates import rotation_angles_deg
from ..core.geometry.oriented_box import FACES
from ..core.models.store import carried_protocols
from ..core.planning.margins import coverage_text, margins_mm, plan_coverage, proposed_margins_mm
from ..core.planning.protocol_editing import ADJUSTED, save_by_example
from ..core.workflow.calibration import Calibration
from ..mrml.editing.current_study import CurrentStudy
from .job_runner import JobRunner
from .messages import errors_shown
from .shared.enabling import allow

DEFAULT_PROTOCOL = "BrainAcPc"


def _carried() -> list[Path]:
    """Protocols of the user's own default models; none where a damaged file hides them, which Calibrate reports."""
    try:
        return list(carried_protocols().values())
    except ModelError:
        return []


class BoxSection:
    """Chooses the protocol and shows the box that follows."""

    def __init__(self, ui, current: CurrentStudy, jobs: JobRunner) -> None:
        self._ui, self._current, self._jobs = ui, current, jobs
        self._showing = False
        #: Files that the user opened: they are for every study, as the shipped protocols are.
        self._opened: set[str] = set()
        for path in sorted(resource_path("Protocols").glob("*.json")):
            # Titles only: checking the whole file would need a package that may not be installed yet.
            data = read_json(path, ProtocolError, _("Install AutoVolumeCalibration again."))
            ui.protocolComboBox.addItem(data.get("title", data["name"]), data["name"])
        for path in _carried():
            data = read_json(path, ProtocolError, _("Get the model bundle again."))
            ui.protocolComboBox.addItem(data.get("title", data["name"]), str(path))
            self._opened.add(str(path))
        ui.protocolComboBox.setCurrentIndex(ui.protocolComboBox.findData(DEFAULT_PROTOCOL))
        ui.protocolComboBox.connect("activated(int)", self._on_protocol)
        ui.protocolFileButton.connect("clicked()", self._on_protocol_file)
        ui.boxComboBox.connect("activated(int)", self._on_box)
        ui.safeMarginsButton.connect("clicked()", self._on_safe_margins)
        ui.resetBoxButton.connect("clicked()", self._on_reset)
        ui.saveProtocolButton.connect("clicked()", self._on_save)
        for face in FACES:
            spin_box = getattr(ui, f"{face}Margin")
            spin_box.connect("valueChanged(double)", lambda value, face=face: self._on_margin(face, value))

    def protocol(self) -> Protocol:
        """The chosen protocol.

        Raises:
            ProtocolError: its file is missing or damaged.
        """
        calibration, chosen = self._current.calibration, self._chosen()
        if calibration is not None and chosen in (calibration.protocol.name, str(calibration.protocol.source)):
            return calibration.protocol
        return load_protocol(chosen)

    def update(self) -> None:
        """Show the box of the current plan."""
        calibration, ui = self._current.calibration, self._ui
        self._showing = True
        self._forget_other_studies(calibration)
        if calibration is not None:
            self._show_choice(calibration)
        self._show_margins(calibration)
        ui.boxLabel.text = _numbers(calibration) if calibration else _("No box yet: calibrate first.")
        self._showing = False
        busy = _("Wait until the current job is done, or cancel it.") if self._jobs.busy else ""
        none = busy or (_("Calibrate first, or start by hand.") if calibration is None else "")
        allow(ui.protocolComboBox, _("Protocol: what is planned, and along which line"), busy)
        allow(ui.protocolFileButton, _("Open a protocol file (.json)"), busy)
        allow(ui.boxComboBox, _("One of the protocol's boxes"), none)
        allow(
            ui.safeMarginsButton,
            _("Margins with which the whole anatomy lies in the box, as sure as the plan states"),
            none,
        )
        unadjusted = "" if self._base() else _("The box already follows its protocol.")
        allow(ui.resetBoxButton, _("Back to the margins and angles of the protocol"), none or unadjusted)
        allow(ui.saveProtocolButton, _("Save this box, relative to the anatomy, as a protocol file"), none)
        for face in FACES:
            tip = _("mm from the outermost anatomy on the {face} side to the face of the box").format(face=face)
            allow(getattr(ui, f"{face}Margin"), tip, none)

    def _chosen(self) -> str:
        """Name of a shipped protocol, or path of a file."""
        combo_box = self._ui.protocolComboBox
        return combo_box.itemData(combo_box.currentIndex)

    def _base(self) -> str:
        """Name of the protocol that the current one was adjusted from, where it is one of the list; else empty."""
        calibration = self._current.calibration
        if calibration is None or not calibration.protocol.name.endswith(ADJUSTED):
            return ""
        return self._entry_of(calibration.protocol.name.removesuffix(ADJUSTED))

    def _entry_of(self, name: str) -> str:
        """The list's data for the protocol of that name, empty where it is not listed."""
        combo_box = self._ui.protocolComboBox
        data = [combo_box.itemData(row) for row in range(combo_box.count)]
        return next((entry for entry in data if entry == name or Path(entry).stem == name), "")

    def _forget_other_studies(self, calibration: Calibration | None) -> None:
        """An adjusted box belongs to its study: without that study its base protocol is chosen."""
        combo_box = self._ui.protocolComboBox
        kept = {str(calibration.protocol.source)} if calibration else set()
        chosen = self._chosen()
        for row in reversed(range(combo_box.count)):
            entry = combo_box.itemData(row)
            if Path(entry).stem.endswith(ADJUSTED) and entry not in kept | self._opened:
                combo_box.removeItem(row)
        if combo_box.findData(chosen) < 0:
            base = self._entry_of(Path(chosen).stem.removesuffix(ADJUSTED)) or DEFAULT_PROTOCOL
            combo_box.setCurrentIndex(combo_box.findData(base))

    def _show_choice(self, calibration: Calibration) -> None:
        """Select protocol and box of the plan; a protocol that is not in the list replaces the last such one."""
        combo_box, protocol = self._ui.protocolComboBox, calibration.protocol
        row = max(combo_box.findData(protocol.name), combo_box.findData(str(protocol.source)))
        if row < 0:
            for other in reversed(range(combo_box.count)):
                if Path(combo_box.itemData(other)).stem == protocol.name:
                    combo_box.removeItem(other)
            combo_box.addItem(protocol.title, str(protocol.source))
            row = combo_box.count - 1
        combo_box.setCurrentIndex(row)
        boxes = self._ui.boxComboBox
        boxes.clear()
        for rule in protocol.boxes:
            boxes.addItem(rule.title, rule.name)
        boxes.setCurrentIndex(boxes.findData(calibration.box.name))

    def _show_margins(self, calibration: Calibration | None) -> None:
        labels = {face: getattr(self._ui, f"{face}Coverage") for face in FACES}
        if calibration is None:
            for label in labels.values():
                label.text = ""
            return
        rules = box_rule(calibration.protocol, calibration.box.name).faces
        actual = margins_mm(calibration.box, calibration.frame, calibration.protocol)
        for face in rules:
            # A rule that covers the anatomy states only the smallest margin: the box has the one that was needed.
            margin_mm = actual[face] if rules[face].cover else rules[face].margin_mm
            getattr(self._ui, f"{face}Margin").setValue(margin_mm)
        texts = _coverage_texts(calibration)
        for face, label in labels.items():
            label.text = texts.get(face, "") if face in rules else ""

    def _on_protocol(self, _row: int) -> None:
        if self._current.calibration is None:
            return
        with errors_shown():
            try:
                self._current.choose_protocol(load_protocol(self._chosen()))
            finally:
                self.update()

    def _on_protocol_file(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            self._ui.protocolFileButton, _("Protocol"), "", _("Protocols (*.json);;All files (*)")
        )
        if not path:
            return
        with errors_shown():
            protocol = load_protocol(path)
            self._opened.add(str(protocol.source))
            self._ui.protocolComboBox.addItem(protocol.title, str(protocol.source))
            self._ui.protocolComboBox.setCurrentIndex(self._ui.protocolComboBox.count - 1)
            self._on_protocol(0)

    def _on_box(self, row: int) -> None:
        with errors_shown():
            self._current.choose_box(self._ui.boxComboBox.itemData(row))

    def _on_margin(self, face: str, value_mm: float) -> None:
        if not self._showing and self._current.calibration is not None:
            with errors_shown():
                self._current.set_margins({face: value_mm})

    def _on_safe_margins(self) -> None:
        with errors_shown():
            self._current.set_margins(proposed_margins_mm(self._current.require_calibration()))

    def _on_reset(self) -> None:
        with errors_shown():
            self._current.choose_protocol(load_protocol(self._base()))

    def _on_save(self) -> None:
        path = qt.QFileDialog.getSaveFileName(
            self._ui.saveProtocolButton, _("Save as protocol"), "MyProtocol.json", _("Protocols (*.json)")
        )
        if not path:
            return
        target = Path(path).with_suffix(".json")
        with errors_shown():
            calibration = self._current.require_calibration()
            frame = calibration.frame
            text = save_by_example(
                calibration.protocol, frame, frame.expected_mm, calibration.box, target.stem, target.stem
            )
            write_text(target, text)
            self._jobs.show_status(
                _("Saved as {path}. Open it with the button beside the protocols.").format(path=target)
            )


def _coverage_texts(calibration: Calibration) -> dict[str, str]:
    """Face -> which share of heads its margin covers; only faces whose uncertainty is known."""
    coverage = plan_coverage(calibration)
    if coverage is None:
        return {}
    actual = margins_mm(calibration.box, calibration.frame, calibration.protocol)
    reach = coverage.reach_mm(calibration.box.face_sd_mm)
    return {face: coverage_text(actual[face], reach[face], coverage.measured) for face in actual if face in reach}


def _numbers(calibration: Calibration) -> str:
    """Size, slices and orientation of the box, two short lines."""
    box, scan = calibration.box, calibration.prescription
    size = " × ".join(f"{edge:.0f}" for edge in box.size_mm)
    pitch, roll, yaw = np.round(rotation_angles_deg(np.eye(3), box.axes), 1) + 0.0
    return _(
        "{size} mm (R-L × A-P × S-I), {slices} slices of {thickness:g} mm\n"
        "Rotated by pitch {pitch:.1f}°, roll {roll:.1f}°, yaw {yaw:.1f}°"
    ).format(size=size, slices=scan.slices, thickness=scan.slice_thickness_mm, pitch=pitch, roll=roll, yaw=yaw)
