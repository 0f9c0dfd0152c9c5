"""Calibrate: find the landmarks with a model, or start by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slicer.i18n import tr as _

from ..core.anatomy.landmark import MISSING, Landmark
from ..core.planning.side_in_words import anatomy_in_words, side_in_words
from ..core.workflow.calibration import Calibration
from ..core.workflow.manual_planning import first_landmarks, plan_by_hand
from ..mrml.editing.current_study import CurrentStudy
from ..mrml.scouts_from_nodes import stacks_from_volume_nodes
from ..mrml.study_nodes import Study
from . import requirements
from .advanced_section import AdvancedSection
from .detection_job import find_landmarks
from .inputs_section import InputsSection, show_current
from .job_runner import JobRunner
from .protocol_choice import ProtocolChoice
from .shared.dependencies import ensure
from .shared.enabling import allow

CALIBRATE_TIP = "Plan the scan volume from these scouts.\nPoints that you corrected stay where they are."
BY_HAND_TIP = "Start with a typical anatomy and place three landmarks or more yourself. No model is needed."


class CalibrateSection:
    """Starts a detection and shows its result.

    Attributes:
        find: runs in the thread, see ``detection_job.find_landmarks``; another one in tests.
    """

    def __init__(
        self,
        ui,
        current: CurrentStudy,
        jobs: JobRunner,
        inputs: InputsSection,
        protocols: ProtocolChoice,
        advanced: AdvancedSection,
    ) -> None:
        self._ui, self._current, self._jobs = ui, current, jobs
        self._inputs, self._protocols, self._advanced = inputs, protocols, advanced
        self.find: Callable[..., Calibration] = find_landmarks
        ui.calibrateButton.connect("clicked()", self._on_calibrate)
        ui.byHandButton.connect("clicked()", self._on_by_hand)

    def update(self) -> None:
        """Enable the buttons, or say in their tooltips what is missing."""
        reason = self._inputs.why_not_ready()
        allow(self._ui.calibrateButton, _(CALIBRATE_TIP), reason)
        allow(self._ui.byHandButton, _(BY_HAND_TIP), reason or self._protocols.why_not_by_hand())

    def _on_calibrate(self) -> None:
        with self._jobs.errors_shown():
            ensure(requirements.PLANNING)
            settings = self._advanced.settings()
            ensure(requirements.network_of(settings.model, settings.device))
            protocol = self._protocols.protocol()
            study = self._inputs.study()
            stacks = stacks_from_volume_nodes(study.scouts)
            corrections = self._current.engine.corrections(study)
            self._jobs.start(
                _("Finding landmarks...") if protocol else _("Recognising the anatomy..."),
                lambda progress, cancelled: self.find(stacks, protocol, settings, corrections, progress, cancelled),
                lambda calibration: self._on_found(study, calibration, corrections),
            )

    def _on_found(self, study: Study, calibration: Calibration, corrections: Sequence[Landmark]) -> None:
        self._current.show_found(study, calibration, corrections)
        self._ui.tabs.setCurrentWidget(self._ui.landmarksTab)
        show_current(self._current)
        self._jobs.show_status(_found_text(self._current.require_calibration()))

    def _on_by_hand(self) -> None:
        with self._jobs.errors_shown():
            ensure(requirements.PLANNING)
            protocol = self._protocols.protocol_by_hand()
            study = self._inputs.study()
            self._current.show(plan_by_hand(stacks_from_volume_nodes(study.scouts), protocol))
            show_current(self._current)
            text = _("A typical {anatomy} is shown. Drag {names}, each in two views, then re-predict the rest.")
            names = ", ".join(first_landmarks(protocol))
            self._jobs.show_status(text.format(anatomy=protocol.anatomy or _("anatomy"), names=names))


def _found_text(calibration: Calibration) -> str:
    found = [landmark for landmark in calibration.landmarks if landmark.status != MISSING]
    seconds = calibration.timings_s.get("total", 0.0)
    text = _("{found} of {all} landmarks in {seconds:.1f} s. Drag those that are off.")
    text = text.format(found=len(found), all=len(calibration.landmarks), seconds=seconds)
    protocol = calibration.protocol
    shown = side_in_words(calibration.frame, protocol.anatomy)
    if calibration.model is not None and calibration.model.automatic:
        shown = shown or anatomy_in_words(calibration.frame, protocol.anatomy)
        shown = _("{anatomy}, protocol {title}").format(anatomy=shown, title=protocol.title)
    return f"{shown[:1].upper()}{shown[1:]}; {text}" if shown else text
