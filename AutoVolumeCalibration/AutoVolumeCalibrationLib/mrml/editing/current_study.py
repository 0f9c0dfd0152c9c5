"""The study that the user sees: everything that changes its plan goes through here, and can be undone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import slicer
import vtk

from ...core.anatomy.landmark import CORRECTED, MISSING, Landmark
from ...core.anatomy.protocol import Protocol
from ...core.errors import AutoVolumeError
from ...core.geometry.oriented_box import OrientedBox
from ...core.planning import protocol_editing
from ...core.workflow import checked_plan, manual_planning, pipeline
from ...core.workflow.calibration import Calibration
from ..box_node import box_from_node
from ..correction_observer import CorrectionObserver, Schedule
from ..engine import CalibrationEngine
from ..landmark_nodes import make_ready_to_place
from ..protocol_file import with_protocol_file
from ..signal import Signal
from ..study_nodes import Study
from .box_observer import BoxObserver
from .plan_changes import boxes_differ, moved, same_corrections
from .undo_stack import UndoStack


class CurrentStudy:
    """One study of the engine's scene with its plan, undo, and the observers that follow the user's mouse.

    Attributes:
        study: the study that is shown; None where none is chosen.
        changed: emitted after anything changed.
    """

    def __init__(
        self,
        engine: CalibrationEngine,
        schedule: Schedule,
        on_error: Callable[[AutoVolumeError], None],
        folder: Path,
    ) -> None:
        """
        Args:
            schedule: runs a callable in the next turn of the event loop.
            on_error: receives the reason why points or box, as they were moved, give no plan; the last plan stays.
            folder: for the files of adjusted protocols.
        """
        self.engine = engine
        self.study: Study | None = None
        self.changed = Signal()
        self._schedule, self._on_error, self._folder = schedule, on_error, folder
        self._undo_stack = UndoStack()
        self._observers: list[CorrectionObserver | BoxObserver] = []
        self._tags: list[tuple[Any, int]] = []
        #: None, or, while the user drags or places something, whether a step was recorded for it.
        self._gesture: bool | None = None
        self._placing = ""
        #: The user drags the box, or has just let it go: what moves it otherwise is a refit.
        self._box_in_hand = False
        self._state_tag, self._state_due = 0, False

    @property
    def calibration(self) -> Calibration | None:
        """The current plan; None before the first."""
        return self._undo_stack.present

    def require_calibration(self) -> Calibration:
        """The current plan, for actions that are disabled without one."""
        if self.calibration is None:
            raise RuntimeError("this action needs a plan")
        return self.calibration

    def require_study(self) -> Study:
        """The current study, for actions that are disabled without one."""
        if self.study is None:
            raise RuntimeError("this action needs a study")
        return self.study

    @property
    def can_undo(self) -> bool:
        return self._undo_stack.can_undo

    @property
    def can_redo(self) -> bool:
        return self._undo_stack.can_redo

    def require_landmarks(self) -> slicer.vtkMRMLMarkupsFiducialNode:
        """The node of the current study's landmarks, for actions that are disabled without a plan."""
        node = self.require_study().landmarks
        if node is None:
            raise RuntimeError("this action needs landmarks in the scene")
        return node

    def select(self, study: Study | None) -> None:
        """Make ``study`` the current one, with the plan it has in the scene.

        Raises:
            AutoVolumeError: its plan cannot be read; then no study is current.
        """
        self.close()
        if study is not None:
            calibration = self.engine.calibration(study)
            if calibration is not None:
                complete = with_protocol_file(study, calibration, self._new_folder)
                if complete is not calibration:
                    self.engine.show(study, complete)
                    calibration = complete
            self.study = study
            self._undo_stack.begin(calibration)
            self._state_tag = study.node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_state)
            self._watch()
        self.changed.emit()

    def close(self) -> None:
        """Stop following the study and its nodes; none is current then."""
        self._unwatch()
        if self.study is not None:
            self.study.node.RemoveObserver(self._state_tag)
        self.study, self._gesture, self._placing, self._box_in_hand = None, None, "", False
        self._undo_stack.begin(None)

    def show(self, calibration: Calibration) -> None:
        """A new plan, as a step that can be undone."""
        self._write(calibration)
        self._undo_stack.add(calibration)
        self.changed.emit()

    def show_found(self, study: Study, calibration: Calibration, corrections: Sequence[Landmark]) -> None:
        """The plan that a background job made for ``study`` from ``corrections``, as a step.

        What the user corrected meanwhile is kept.
        """
        if self.study is None or self.study.node is not study.node:
            self.select(study)
        now = self.engine.corrections(study)
        self.show(calibration if same_corrections(now, corrections) else pipeline.refit(calibration, now))

    def undo(self) -> None:
        """Go back to the plan before the last step."""
        self._write(self._undo_stack.undo())
        self.changed.emit()

    def redo(self) -> None:
        """Go forward to the plan that was undone."""
        self._write(self._undo_stack.redo())
        self.changed.emit()

    def restore(self, name: str | None = None) -> None:
        """Revert the corrections of one landmark, or of all."""
        self._unwatch()
        try:
            self._undo_stack.add(self.engine.restore(self.require_study(), name))
        finally:
            self._watch()
            self.changed.emit()

    def start_placing(self, name: str) -> None:
        """Clear a point, so that place mode places it; clearing and placing are one step."""
        self._gesture, self._placing = False, name
        make_ready_to_place(self.require_landmarks(), name)

    def choose_box(self, box: str) -> None:
        """Plan another box of the protocol."""
        self.show(self._planned(self.require_calibration().protocol, box))

    def choose_protocol(self, protocol: Protocol) -> None:
        """Plan with the protocol that the user chose from the landmarks as they are.

        Raises:
            InputError: too few of them are the protocol's.
        """
        self.show(checked_plan.with_automatic(self._planned(protocol, None), False))

    def reset_protocol(self, protocol: Protocol) -> None:
        """Plan with the protocol that the current one was adjusted from."""
        self.show(self._planned(protocol, None))

    def set_margins(self, margins_mm: Mapping[str, float]) -> None:
        """Change the margins of some faces, in a protocol of this study's own."""
        calibration = self.require_calibration()
        box = calibration.box.name
        protocol = protocol_editing.with_margins(calibration.protocol, box, margins_mm, self._new_folder())
        self.show(self._planned(protocol, box))

    def propagate_corrections(self) -> None:
        """By hand: move the points that the user did not place to where the placed ones predict them."""
        self.show(manual_planning.propagate_corrections(self.require_calibration()))

    def _planned(self, protocol: Protocol, box: str | None) -> Calibration:
        """A plan by ``protocol`` from the landmarks as they are."""
        now = self.require_calibration()
        decided = [landmark for landmark in now.landmarks if landmark.status in (CORRECTED, MISSING)]
        return pipeline.plan_from_landmarks(
            now.stacks,
            protocol,
            decided,
            predicted=now.predicted,
            model=now.model,
            box=box,
            timings_s=now.timings_s,
            disagreeing=now.disagreeing,
            motion=now.motion,
            birge_ratios=now.birge_ratios,
        )

    def _write(self, calibration: Calibration) -> None:
        self._unwatch()
        try:
            self.engine.show(self.require_study(), calibration)
        finally:
            self._watch()

    def _watch(self) -> None:
        if self.study is None or self.engine.calibration(self.study) is None:
            return
        self._observers = [self.engine.watch(self.study, self._schedule, self._on_refit, self._on_error)]
        if self.study.scan_box is not None:
            self._observers.append(BoxObserver(self.study.scan_box, self._on_box, self._schedule))
        # After those of the engine, so that the last refit of a drag still belongs to it.
        for node in (self.study.landmarks, self.study.scan_box):
            if node is not None:
                self._tags.append((node, node.AddObserver(node.PointStartInteractionEvent, self._on_grab)))
                self._tags.append((node, node.AddObserver(node.PointEndInteractionEvent, self._on_let_go)))

    def _unwatch(self) -> None:
        for observer in self._observers:
            observer.remove()
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._observers, self._tags = [], []

    def _on_state(self, *_event: object) -> None:
        if not self._state_due:
            self._state_due = True
            self._schedule(self._take_over_state)

    def _take_over_state(self) -> None:
        """Take over a plan that somebody else, a script perhaps, made for this study."""
        self._state_due = False
        if self.study is None or self.study.node.GetScene() is None:
            return
        try:
            calibration = self.engine.calibration(self.study)
        except AutoVolumeError as error:
            self._on_error(error)
            return
        if calibration is not None and calibration is not self.calibration:
            self._unwatch()
            self._watch()
            self._undo_stack.add(calibration)
            self.changed.emit()

    def _on_grab(self, node: object, *_event: object) -> None:
        self._gesture, self._placing = False, ""
        self._box_in_hand = node is self.require_study().scan_box

    def _on_let_go(self, *_event: object) -> None:
        self._schedule(self._end_gesture)

    def _end_gesture(self) -> None:
        self._gesture, self._placing, self._box_in_hand = None, "", False

    def _on_refit(self, calibration: Calibration) -> None:
        self._record(calibration)
        if self._placing:
            placed = {landmark.name for landmark in calibration.landmarks if landmark.status == CORRECTED}
            if self._placing in placed:
                self._end_gesture()
        self.changed.emit()

    def _on_box(self, dragging: bool) -> None:
        """The user moved the box: while it is dragged the numbers follow, then the protocol takes it over."""
        calibration, study = self.require_calibration(), self.require_study()
        try:
            drawn = replace(box_from_node(study.scan_box), name=calibration.box.name)
            if dragging and boxes_differ(drawn, calibration.box):
                self._record(self.engine.adopt_box(study))
            elif not dragging and (self._box_in_hand or boxes_differ(drawn, calibration.box)):
                self._take_over(drawn)
        except AutoVolumeError as error:
            self._on_error(error)
        else:
            self.changed.emit()

    def _take_over(self, drawn: OrientedBox) -> None:
        """Make the drawn box the study's own rule, so that it stays where it is in the anatomy."""
        calibration = self.require_calibration()
        protocol = protocol_editing.with_box(calibration.protocol, calibration, drawn, self._new_folder())
        planned = self._planned(protocol, drawn.name)
        self._write(planned)
        self._record(planned)

    def _record(self, calibration: Calibration) -> None:
        """Part of the step that is being made, or a step of its own."""
        if self._gesture or (self.calibration is not None and not moved(self.calibration, calibration)):
            self._undo_stack.replace(calibration)
            return
        self._undo_stack.add(calibration)
        if self._gesture is not None:
            self._gesture = True

    def _new_folder(self) -> Path:
        """A folder of its own for each adjusted protocol: plans on the undo stack need theirs unchanged."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._folder))
