"""What ``batch`` does with one study; workers run it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..service.batch.resume import proof_of, study_key
from ..service.batch.table import numbers
from ..service.engine.outcome import Outcome
from ..service.planning import PlanRequest, plan_study
from .exit_codes import INPUT_CODE, INTERNAL_ERROR_CODE, error_exit_code, exit_code

if TYPE_CHECKING:
    from ..core.storage.results import SavedCalibration
    from ..core.workflow.calibration import Calibration


@dataclass(frozen=True)
class BatchWork:
    """Plans a study into its folder.

    Attributes:
        study: its name.
        scouts: its paths. They and ``output`` are absolute: workers may run in another folder.
        output: the folder with a folder for each study.
        request: how to plan; request_key: its digest.
    """

    study: str
    scouts: tuple[str, ...]
    output: Path
    request: PlanRequest
    request_key: str

    def key(self) -> str:
        """See ``Work.key``."""
        return study_key(self.request_key, self.scouts)

    def __call__(self) -> Outcome:
        """Plan the study."""
        started = time.perf_counter()
        folder = self.output / self.study
        plan = plan_study(self.request, self.scouts, folder)
        return planned_outcome(self.study, plan, time.perf_counter() - started, proof_of(folder))

    def failed(self, error: Exception) -> Outcome:
        """The code that a command would have, and why."""
        from ..core.errors import AutoVolumeError

        if isinstance(error, AutoVolumeError):
            return Outcome(self.study, error_exit_code(error), str(error))
        what = f"{type(error).__name__}: {error}"
        if isinstance(error, (OSError, MemoryError)):
            return Outcome(self.study, INPUT_CODE, what)
        return Outcome(self.study, INTERNAL_ERROR_CODE, f"internal error: {what}")


def planned_outcome(study: str, plan: Calibration | SavedCalibration, seconds: float, proof: str) -> Outcome:
    """The outcome of a plan."""
    worst = plan.checks[0]
    return Outcome(study, exit_code(plan.checks), f"{worst.level}: {worst.message}", numbers(plan), seconds, proof)
