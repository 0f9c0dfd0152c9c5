"""Work in a thread: each outcome is told once, in the main thread."""

from __future__ import annotations

import threading
import time

import pytest

from AutoVolumeCalibrationLib.core.errors import Cancelled

pytest.importorskip("slicer", exc_type=ImportError)


@pytest.fixture
def run(stand_in):
    """Starts a job whose outcomes are noted in ``told``."""
    from AutoVolumeCalibrationLib.widgets.shared.background_job import BackgroundJob

    def start(work):
        told = []

        def note(kind):
            return lambda *values: told.append((kind, *values, threading.current_thread() is threading.main_thread()))

        job = BackgroundJob(
            work,
            on_progress=note("progress"),
            on_done=note("done"),
            on_cancelled=note("cancelled"),
            on_failed=note("failed"),
        )
        return job, told

    return start


def test_progress_and_result_are_told_in_the_main_thread(run, stand_in):
    def work(progress, _cancelled):
        progress(0.25)
        assert threading.current_thread() is not threading.main_thread()
        return "result"

    job, told = run(work)
    stand_in.wait_until(lambda: not job.running)
    assert told == [("progress", 0.25, True), ("done", "result", True)]


def test_a_failure_is_told_with_its_exception(run, stand_in):
    job, told = run(lambda _progress, _cancelled: 1 / 0)
    stand_in.wait_until(lambda: not job.running)
    ((kind, error, in_main),) = told
    assert kind == "failed"
    assert isinstance(error, ZeroDivisionError)
    assert in_main


def test_work_that_says_cancelled_is_cancelled(run, stand_in):
    def work(_progress, _cancelled):
        raise Cancelled

    job, told = run(work)
    stand_in.wait_until(lambda: not job.running)
    assert told == [("cancelled", True)]


def test_an_abandoned_job_is_asked_to_stop_and_tells_nothing(run, stand_in):
    stopped = threading.Event()

    def work(_progress, cancelled):
        while not cancelled():
            time.sleep(0.001)
        stopped.set()

    job, told = run(work)
    job.abandon()
    assert stopped.wait(5)
    assert not job.running
    stand_in.process_events()
    assert told == []
