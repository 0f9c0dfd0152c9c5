"""The panel: its sections, and how they follow the scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import qt
import slicer
import slicer.util

from ..core.errors import AutoVolumeError
from ..mrml.editing.current_study import CurrentStudy
from ..mrml.engine import CalibrationEngine
from .advanced_section import AdvancedSection
from .baseline_section import BaselineSection
from .box_section import BoxSection
from .calibrate_section import CalibrateSection
from .checks_section import ChecksSection
from .console_section import ConsoleSection
from .export_section import ExportSection
from .inputs_section import InputsSection
from .job_runner import JobRunner
from .landmarks_section import LandmarksSection
from .messages import errors_shown
from .protocol_choice import ProtocolChoice

#: The module's parameter node remembers which study the panel shows, and the protocol that the user chose.
STUDY, PROTOCOL = "Study", "Protocol"


def next_turn(call: Callable[[], None]) -> None:
    """Run ``call`` in the next turn of the event loop."""
    qt.QTimer.singleShot(0, call)


class Section(Protocol):
    """A part of the panel."""

    def update(self) -> None:
        """Show the current state."""


class Panel:
    """Owns the sections, one class each, and updates them all when anything changes.

    Attributes:
        current: the study that is shown.
        calibrate: its ``find`` may be replaced, for tests without a network.
    """

    def __init__(
        self,
        root: qt.QWidget,
        engine: CalibrationEngine,
        parameter_node: Callable[[], slicer.vtkMRMLScriptedModuleNode],
    ) -> None:
        self.ui = slicer.util.childWidgetVariables(root)
        self._engine, self._parameter_node = engine, parameter_node
        self.jobs = JobRunner(self.ui)
        folder = Path(slicer.app.temporaryPath) / "AutoVolumeCalibration"
        self.current = CurrentStudy(engine, next_turn, self._on_error, folder)
        self.inputs = InputsSection(self.ui, self.current, self.jobs, next_turn)
        self.protocols = ProtocolChoice(self.ui, self.current, self.jobs)
        self.box = BoxSection(self.ui, self.current, self.jobs, self.protocols)
        self.advanced = AdvancedSection(self.ui, self.current)
        self.calibrate = CalibrateSection(self.ui, self.current, self.jobs, self.inputs, self.protocols, self.advanced)
        self.landmarks = LandmarksSection(self.ui, self.current, self.jobs, self.advanced)
        self.baseline = BaselineSection(self.ui, self.current, self.jobs, self.advanced)
        self._sections: list[Section] = [
            self.inputs,
            self.protocols,
            self.calibrate,
            ChecksSection(self.ui, self.current),
            self.landmarks,
            self.box,
            self.baseline,
            ConsoleSection(self.ui, self.current),
            self.advanced,
            ExportSection(self.ui, self.current, self.jobs),
        ]
        self.current.changed.connect(self._remember, self.update)
        self.jobs.changed.connect(self.update)
        self.protocols.chosen.connect(self._remember, self.update)
        scene = engine.scene
        handlers = {
            scene.StartCloseEvent: self._on_start_close,
            scene.EndCloseEvent: self._on_end_close,
            scene.EndImportEvent: self._on_end_import,
            scene.NodeAddedEvent: self._on_nodes_changed,
            scene.NodeRemovedEvent: self._on_nodes_changed,
        }
        self._tags = [scene.AddObserver(event, handler) for event, handler in handlers.items()]
        self._show_remembered()

    def enter(self) -> None:
        """The panel is shown: fill the selectors from the scene."""
        self.inputs.fill()
        self.advanced.fill()
        self.update()

    def close(self) -> None:
        """Stop everything: the panel closes."""
        self.jobs.abandon()
        self.current.changed.disconnect_all()
        self.protocols.chosen.disconnect_all()
        self.current.close()
        for tag in self._tags:
            self._engine.scene.RemoveObserver(tag)
        self._tags = []

    def update(self) -> None:
        """Show the current state."""
        for section in self._sections:
            section.update()

    def _on_error(self, error: AutoVolumeError) -> None:
        """Show in the status line why a drag or a deletion leaves no plan: a dialog would interrupt the user's hand."""
        self.jobs.show_status(str(error), wrong=True)

    def _remember(self) -> None:
        study, node = self.current.study, self._parameter_node()
        node.SetNodeReferenceID(STUDY, study.node.GetID() if study else None)
        if self.protocols.choice:
            node.SetParameter(PROTOCOL, self.protocols.choice)

    def _show_remembered(self) -> None:
        """The study that was shown when the scene was saved, or the latest one."""
        if not self._tags:  # the panel closed meanwhile
            return
        self.protocols.restore(self._parameter_node().GetParameter(PROTOCOL) or "")
        node = self._parameter_node().GetNodeReference(STUDY)
        studies = [study for study in self._engine.studies() if study.node is node] or self._engine.studies()
        with errors_shown():
            self.current.select(studies[-1] if studies else None)

    # VTK passes the scene and the event's name.
    def _on_start_close(self, *_event: object) -> None:
        self.jobs.abandon()
        self.current.close()

    def _on_end_close(self, *_event: object) -> None:
        self.jobs.show_status("")
        self.protocols.begin_scene()
        self.update()

    def _on_end_import(self, *_event: object) -> None:
        # The selectors learn of the new nodes only after this event.
        next_turn(self._show_remembered)
        self.inputs.fill()

    def _on_nodes_changed(self, *_event: object) -> None:
        if self._engine.scene.IsBatchProcessing():
            return
        self.inputs.fill()
        if self.current.study is not None and not isinstance(self.current.study.node.GetScene(), slicer.vtkMRMLScene):
            self.current.select(None)
