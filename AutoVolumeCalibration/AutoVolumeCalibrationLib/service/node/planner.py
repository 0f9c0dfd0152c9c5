"""Plan what is complete: studies in a spool or a watched folder that had no new file for a while.

Restarts need no care: whether a study has been planned stands in its record (``engine.records``), under a key that new
images change.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import AutoVolumeError
from ...core.workflow.calibration import Calibration
from ..batch.resume import Request, proof_of, study_key
from ..batch.table import numbers
from ..engine.attempt import Job
from ..engine.limits import Limits
from ..engine.outcome import Outcome
from ..engine.records import Records
from ..engine.running import run
from ..engine.workers import Workers
from ..planning import PlanRequest, plan_study
from .configuration import Destination
from .outbox import Outbox
from .results import DRAWINGS, write_objects
from .spool import ReceivedStudy

#: Of an outcome; the command line has others for more causes.
PLANNED, NOT_PLANNED, FAULT = 0, 3, 1


@dataclass(frozen=True)
class StudyWork:
    """Plans a study and puts its results into the outboxes.

    Attributes:
        study: its name.
        folder: its images.
        output: folder with a folder for each plan.
        request: how to plan; request_key: its digest.
        spool: of the service, None where nothing is sent.
        destinations: of the results. title: AE title of this node.
    """

    study: str
    folder: Path
    output: Path
    request: PlanRequest
    request_key: str
    spool: Path | None = None
    destinations: tuple[Destination, ...] = ()
    title: str = ""

    def key(self) -> str:
        """See ``Work.key``."""
        return study_key(self.request_key, (str(self.folder),))

    def __call__(self) -> Outcome:
        """Plan the study; its results wait in the outboxes before it counts as planned."""
        started = time.perf_counter()
        plan_folder = self.output / self.study
        plan = plan_study(self.request, (str(self.folder),), plan_folder, DRAWINGS if self.spool else None)
        notes = self._give_to_outboxes(plan, plan_folder)
        seconds, worst = time.perf_counter() - started, plan.checks[0]
        message = "; ".join([f"{worst.level}: {worst.message}", *notes])
        return Outcome(self.study, PLANNED, message, numbers(plan), seconds, proof_of(plan_folder))

    def _give_to_outboxes(self, plan: Calibration, plan_folder: Path) -> tuple[str, ...]:
        """Put each destination's forms into its outbox; what to note about it."""
        if not self.spool or not self.destinations:
            return ()
        forms = {form for destination in self.destinations for form in destination.forms}
        objects = write_objects(plan, plan_folder, forms, plan_folder / "dicom")
        for destination in self.destinations:
            outbox = Outbox(self.spool, destination, self.title)
            for form in destination.forms:
                if form in objects.by_form:
                    outbox.put(objects.by_form[form].path, objects.by_form[form].uid)
        return objects.notes

    def failed(self, error: Exception) -> Outcome:
        """See ``Work.failed``."""
        if isinstance(error, AutoVolumeError):
            # The study names its folder; what is left of the path is the file in it.
            message = str(error).replace(f"{self.folder}{os.sep}", "").removeprefix(f"{self.folder}: ")
            return Outcome(self.study, NOT_PLANNED, message)
        return Outcome(self.study, FAULT, f"internal error: {type(error).__name__}: {error}")


@dataclass(frozen=True, eq=False)
class Planner:
    """Plans studies as they become complete.

    Attributes:
        request, limits: of all studies.
        output: folder of the plans. records: of the studies.
        quiet_s: a study without a new file for so long is complete.
        spool, destinations, title: see ``StudyWork``.
    """

    request: Request
    limits: Limits
    output: Path
    records: Records
    quiet_s: float
    spool: Path | None = None
    destinations: tuple[Destination, ...] = ()
    title: str = ""

    def plan(
        self, studies: Iterable[ReceivedStudy], settled: Callable[[ReceivedStudy], None], workers: Workers
    ) -> Iterator[Outcome]:
        """Plan what is complete and has no outcome yet, the longest complete first; the outcomes as they come.

        Args:
            settled: called with each study that needs no more work.
        """
        first_come = sorted(studies, key=lambda study: study.latest)
        complete = {study.name: study for study in first_come if time.time() - study.latest >= self.quiet_s}
        jobs = []
        for study in complete.values():
            job = self._job(study)
            if job is None:
                settled(study)
            else:
                jobs.append(job)
        if jobs:
            with closing(run(jobs, workers)) as outcomes:
                for outcome in outcomes:
                    settled(complete[outcome.study])
                    yield outcome

    def _job(self, study: ReceivedStudy) -> Job | None:
        work = StudyWork(
            study.name,
            study.folder.absolute(),
            self.output.absolute(),
            self.request.request,
            self.request.key,
            self.spool,
            self.destinations,
            self.title,
        )
        record = self.records.read(study.name)
        if record.outcome is not None and record.key == work.key():
            return None
        return Job(work, self.records.folder, self.limits, record.stamp)
