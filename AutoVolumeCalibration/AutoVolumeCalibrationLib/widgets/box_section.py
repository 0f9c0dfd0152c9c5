"""Box: which of the protocol's, margins with the coverage they give, live numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import qt
from slicer.i18n import tr as _

from ..core.anatomy.protocol import box_rule
from ..core.anatomy.protocol_file import load_protocol
from ..core.files.atomic_write import write_text
from ..core.geometry.coordinates import rotation_angles_deg
from ..core.geometry.oriented_box import FACES
from ..core.planning.margins import coverage_text, margins_mm, plan_coverage, proposed_margins_mm
from ..core.planning.protocol_editing import save_by_example
from ..core.workflow.calibration import Calibration
from ..mrml.editing.current_study import CurrentStudy
from .job_runner import JobRunner
from .messages import errors_shown
from .protocol_choice import ProtocolChoice
from .shared.enabling import allow


class BoxSection:
    """Shows the box that follows from the protocol, and adjusts it."""

    def __init__(self, ui, current: CurrentStudy, jobs: JobRunner, protocols: ProtocolChoice) -> None:
        self._ui, self._current, self._jobs, self._protocols = ui, current, jobs, protocols
        self._showing = False
        ui.boxComboBox.connect("activated(int)", self._on_box)
        ui.safeMarginsButton.connect("clicked()", self._on_safe_margins)
        ui.resetBoxButton.connect("clicked()", self._on_reset)
        ui.saveProtocolButton.connect("clicked()", self._on_save)
        for face in FACES:
            spin_box = getattr(ui, f"{face}Margin")
            spin_box.connect("valueChanged(double)", lambda value, face=face: self._on_margin(face, value))

    def update(self) -> None:
        """Show the box of the current plan."""
        calibration, ui = self._current.calibration, self._ui
        self._showing = True
        if calibration is not None:
            self._show_boxes(calibration)
        self._show_margins(calibration)
        ui.boxLabel.text = _numbers(calibration) if calibration else _("No box yet: calibrate first.")
        self._showing = False
        busy = _("Wait until the current job is done, or cancel it.") if self._jobs.busy else ""
        none = busy or (_("Calibrate first, or start by hand.") if calibration is None else "")
        allow(ui.boxComboBox, _("One of the protocol's boxes"), none)
        allow(
            ui.safeMarginsButton,
            _("Margins with which the whole anatomy lies in the box, as sure as the plan states"),
            none,
        )
        unadjusted = "" if self._protocols.base() else _("The box already follows its protocol.")
        allow(ui.resetBoxButton, _("Back to the margins and angles of the protocol"), none or unadjusted)
        allow(ui.saveProtocolButton, _("Save this box, relative to the anatomy, as a protocol file"), none)
        for face in FACES:
            tip = _("mm from the outermost anatomy on the {face} side to the face of the box").format(face=face)
            allow(getattr(ui, f"{face}Margin"), tip, none)

    def _show_boxes(self, calibration: Calibration) -> None:
        """List the protocol's boxes and select that of the plan."""
        boxes = self._ui.boxComboBox
        boxes.clear()
        for rule in calibration.protocol.boxes:
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
            self._current.reset_protocol(load_protocol(self._protocols.base()))

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
