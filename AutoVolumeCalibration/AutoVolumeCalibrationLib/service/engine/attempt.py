"""One attempt at one study: what a worker runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ...core.errors import AutoVolumeError, Cancelled
from .claims import claimed
from .limits import Limits, memory_limit, time_limit
from .outcome import Outcome, StudyStoppedError, Work
from .records import MOST_ATTEMPTS, Record, Records

#: The limits hold for the process: a worker with several threads plans one study after the other.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Job:
    """A study to be planned.

    Attributes:
        work: what to do, and with which study.
        records: folder of the records.
        limits: of the study.
        seen: stamp of the record when the batch began: another one is the outcome of another batch, since then.
        prepare: called before the study's time begins, such as to load the model; None where that is not needed.
    """

    work: Work
    records: Path
    limits: Limits = Limits()
    seen: str = ""
    prepare: Callable[[], None] | None = None


def attempt(job: Job) -> Outcome | None:
    """The outcome of the study, whatever happens; None where another process is planning it.

    Raises:
        Cancelled: the user stopped it.
    """
    try:
        with _one_at_a_time, claimed(Records(job.records).path(job.work.study, "claim")) as ours:
            return _outcome(job) if ours else None
    except (OSError, AutoVolumeError) as error:  # the records cannot be written
        return job.work.failed(error)


def given_up(study: str, record: Record, limits: Limits) -> StudyStoppedError | None:
    """Why a study is not begun (again); None where it is."""
    remedy = "Look at its images; --retry-killed tries again."
    limit = limits.memory_gb if "memory" in record.stopped else limits.seconds
    if record.stopped and limit is not None and limit <= record.limit:
        return StudyStoppedError(f"stopped: it {record.stopped}", source=study, remedy=remedy)
    if record.attempts >= MOST_ATTEMPTS:
        what = f"the worker died {record.attempts} times while planning it, perhaps out of memory"
        return StudyStoppedError(what, source=study, remedy=remedy)
    return None


def _outcome(job: Job) -> Outcome:
    records, stacks = Records(job.records), Records(job.records).path(job.work.study, "stacks.txt")
    key = job.work.key()
    record = records.read(job.work.study)
    if record.key != key:
        record = Record(key)
    if record.outcome and record.stamp != job.seen:
        return record.outcome
    record = _with_time_exceeded(record, stacks, job.limits)
    if reason := given_up(job.work.study, record, job.limits):
        records.write(job.work.study, record)
        return job.work.failed(reason)
    begun = replace(record, stopped="", limit=0.0).begun()
    records.write(job.work.study, begun)
    try:
        with memory_limit(job.limits.memory_gb, partial(_note_exceeded, records, job.work.study, begun)):
            if job.prepare:
                job.prepare()
            with time_limit(job.limits.seconds, stacks):
                outcome = job.work()
    except (Cancelled, KeyboardInterrupt):
        records.write(job.work.study, begun.cancelled())
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this study's outcome and not the batch's end
        outcome = job.work.failed(error)
    with suppress(AutoVolumeError):  # a full disk: the outcome itself says so
        records.write(job.work.study, begun.ended(outcome))
    return outcome


def _with_time_exceeded(record: Record, stacks: Path, limits: Limits) -> Record:
    """The record with the sign that the last attempt left where its time was over."""
    try:
        left = stacks.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return record
    if not left.startswith("Timeout") or limits.seconds is None:
        return record
    stacks.replace(stacks.with_suffix(".last.txt"))
    return replace(record, stopped=f"took longer than {limits.seconds:g} s", limit=limits.seconds)


def _note_exceeded(records: Records, study: str, record: Record, reason: str, limit: float) -> None:
    records.write(study, replace(record, stopped=reason, limit=limit))
