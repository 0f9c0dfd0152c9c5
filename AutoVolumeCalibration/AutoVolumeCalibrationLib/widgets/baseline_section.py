"""Baseline: the box of an earlier visit, placed on the scouts of this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import qt
from slicer.i18n import tr as _

from ..core.anatomy.landmark import Landmark
from ..core.workflow.calibration import Calibration
from ..mrml.editing.current_study import CurrentStudy
from ..mrml.study_nodes import Study
from .advanced_section import AdvancedSection
from .detection_job import follow_baseline
from .job_runner import JobRunner
from .shared.enabling import allow

TIP = "Plan the box of an earlier visit: choose the folder of its plan, or of the DICOM series that was acquired"


class BaselineSection:
    """Starts the comparison with an earlier visit and shows its result, as a step that can be undone.

    Attributes:
        follow: runs in the thread, see ``detection_job.follow_baseline``; another one in tests.
    """

    def __init__(self, ui, current: CurrentStudy, jobs: JobRunner, advanced: AdvancedSection) -> None:
        self._ui, self._current, self._jobs, self._advanced = ui, current, jobs, advanced
        self.follow: Callable[..., Calibration] = follow_baseline
        ui.baselineButton.connect("clicked()", self._on_baseline)

    def update(self) -> None:
        """Enable the button, or say in its tooltip what is missing."""
        busy = _("Wait until the current job is done, or cancel it.") if self._jobs.busy else ""
        none = _("Calibrate first, or start by hand.") if self._current.calibration is None else ""
        allow(self._ui.baselineButton, _(TIP), busy or none)

    def _on_baseline(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            self._ui.baselineButton, _("Plan or DICOM series of the earlier visit")
        )
        if not folder:
            return
        with self._jobs.errors_shown():
            calibration, settings = self._current.require_calibration(), self._advanced.settings()
            study = self._current.require_study()
            corrections = self._current.engine.corrections(study)
            self._jobs.start(
                _("Comparing with the baseline..."),
                lambda _progress, _cancelled: self.follow(calibration, Path(folder), settings),
                lambda found: self._on_followed(study, found, corrections),
            )

    def _on_followed(self, study: Study, found: Calibration, corrections: Sequence[Landmark]) -> None:
        self._current.show_found(study, found, corrections)
        if found.follow_up is not None and found.follow_up.matched:
            text = _("The box is the baseline's, {difference}.")
            self._jobs.show_status(text.format(difference=found.follow_up.in_words))
