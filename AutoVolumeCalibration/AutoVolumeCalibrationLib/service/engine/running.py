"""All studies of a batch, each once, on workers that may die."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait

from ...core.errors import AutoVolumeError
from .attempt import Job, attempt, given_up
from .claims import remove_if_dead
from .outcome import Outcome
from .records import MOST_ATTEMPTS, Records
from .workers import LostError, Workers

#: How long to wait before a study is asked for again that another process is planning.
_BUSY_S = 2.0

#: The workers are asked whether they are still there so often while no result comes.
_CHECK_S = 1.0


def run(jobs: Iterable[Job], workers: Workers) -> Generator[Outcome]:
    """The outcome of each job, as they come. A generator that is closed leaves nothing running.

    Raises:
        AutoVolumeError: the workers are gone.
    """
    waiting, running, lost = deque(jobs), dict[Future, Job](), Counter[str]()
    ask_again_at = 0.0
    try:
        while waiting or running:
            while waiting and len(running) < workers.at_once and time.monotonic() >= ask_again_at:
                job = waiting.popleft()
                running[workers.submit(attempt, job)] = job
            if not running:
                time.sleep(_BUSY_S / 4)
            done = wait(running, _CHECK_S, FIRST_COMPLETED).done
            if running and not done:
                workers.check()
            for future in done:
                job = running.pop(future)
                outcome = _result(future, job, lost)
                if outcome is not None:
                    yield outcome
                    continue
                waiting.append(job)
                if lost[job.work.study]:
                    workers.check()
                else:  # another process is planning it
                    ask_again_at = time.monotonic() + (_BUSY_S if len(waiting) <= workers.at_once else 0.0)
    finally:
        if running:
            workers.kill()
            for job in running.values():
                _forgive(job)


def _result(future: Future, job: Job, lost: Counter[str]) -> Outcome | None:
    """The outcome; None where the study has to be submitted once more."""
    error = future.exception()
    if error is None:
        outcome: Outcome | None = future.result()
        return outcome
    if not isinstance(error, Exception):
        raise error
    if not _is_loss(error):
        return job.work.failed(error)
    lost[job.work.study] += 1
    reason = given_up(job.work.study, Records(job.records).read(job.work.study), job.limits)
    if reason or lost[job.work.study] > 3 * MOST_ATTEMPTS:
        return job.work.failed(reason or error)
    return None


def _is_loss(error: Exception) -> bool:
    """Whether the worker was lost, instead of that the study failed; dask raises what is not imported here."""
    return isinstance(error, LostError) or type(error).__name__ in ("KilledWorker", "FutureCancelledError")


def _forgive(job: Job) -> None:
    """The batch ends before this study did: that attempt does not count."""
    records = Records(job.records)
    record = records.read(job.work.study)
    if record.attempts and remove_if_dead(records.path(job.work.study, "claim")):
        try:
            records.write(job.work.study, record.cancelled())
        except (OSError, AutoVolumeError):
            return  # it counts, then
