"""Work in a thread: each outcome is reported once, in the main thread."""

from __future__ import annotations

import threading
import time

import pytest

from AutoVolumeCalibrationLib.core.errors import Cancelled

pytest.importorskip("slicer", exc_type=ImportError)


@pytest.fixture
def run(stand_in):
    """Starts a job whose outcomes are noted in ``outcomes``."""
    from AutoVolumeCalibrationLib.widgets.shared.background_job import BackgroundJob

    def start(work):
        outcomes = []

        def note(kind):
            return lambda *values: outcomes.append(
                (kind, *values, threading.current_thread() is threading.main_thread())
            )

        job = BackgroundJob(
            work,
            on_progress=note("progress"),
            on_done=note("done"),
            on_cancelled=note("cancelled"),
            on_failed=note("failed"),
        )
        return job, outcomes

    return start


def test_progress_and_result_are_reported_in_the_main_thread(run, stand_in):
    def work(progress, _cancelled):
        progress(0.25)
        assert threading.current_thread() is not threading.main_thread()
        return "result"

    job, outcomes = run(work)
    stand_in.wait_until(lambda: not job.running)
    assert outcomes == [("progress", 0.25, True), ("done", "result", True)]


def test_a_failure_is_reported_with_its_exception(run, stand_in):
    job, outcomes = run(lambda _progress, _cancelled: 1 / 0)
    stand_in.wait_until(lambda: not job.running)
    ((kind, error, in_main),) = outcomes
    assert kind == "failed"
    assert isinstance(error, ZeroDivisionError)
    assert in_main


def test_work_that_says_cancelled_is_cancelled(run, stand_in):
    def work(_progress, _cancelled):
        raise Cancelled

    job, outcomes = run(work)
    stand_in.wait_until(lambda: not job.running)
    assert outcomes == [("cancelled", True)]


def test_an_abandoned_job_is_asked_to_stop_and_reports_nothing(run, stand_in):
    stopped = threading.Event()

    def work(_progress, cancelled):
        while not cancelled():
            time.sleep(0.001)
        stopped.set()

    job, outcomes = run(work)
    job.abandon()
    assert stopped.wait(5)
    assert not job.running
    stand_in.process_events()
    assert outcomes == []
