"""The log of a run as it grows."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkTrainingLib.core.runs.run_watch import RunWatch, step_text


def line(step: int, **more) -> str:
    return json.dumps({"step": step, "steps": 100, "loss": 1.0 / step, **more}) + "\n"


def append(folder, text: str) -> None:
    with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
        log.write(text)


def test_without_a_log_there_is_nothing(tmp_path):
    watch = RunWatch(tmp_path)
    assert not watch.read()
    assert watch.progress is None
    assert watch.newest_picture() is None


def test_progress_is_that_of_the_last_line(tmp_path):
    watch = RunWatch(tmp_path)
    append(tmp_path, line(20, check_median_mm=3.0, seconds_left=80.0))
    append(tmp_path, line(40, check_median_mm=4.0, check_p95_mm=52.0, seconds_left=60.0))
    assert watch.read()
    assert not watch.read()
    progress = watch.progress
    assert (progress.step, progress.steps, progress.seconds_left) == (40, 100, 60.0)
    assert (progress.error_mm, progress.best_mm, progress.p95_mm) == (4.0, 3.0, 52.0)
    assert progress.fraction == pytest.approx(0.4)


@given(st.lists(st.integers(1, 60), max_size=6))
def test_however_a_log_arrives_in_pieces_it_is_read_whole(tmp_path_factory, cuts):
    folder = tmp_path_factory.mktemp("run")
    text = "".join(line(step, note="ä") for step in (10, 20, 30)).encode("utf-8")
    watch = RunWatch(folder)
    ends = [*sorted(min(cut * len(text) // 60, len(text)) for cut in cuts), len(text)]
    for start, end in zip([0, *ends], ends, strict=False):
        with open(folder / "log.jsonl", "ab") as log:
            log.write(text[start:end])
        watch.read()
    assert [row["step"] for row in watch.rows] == [10, 20, 30]


def test_a_half_written_last_line_waits(tmp_path):
    watch = RunWatch(tmp_path)
    append(tmp_path, line(10) + line(20)[:9])
    watch.read()
    assert [row["step"] for row in watch.rows] == [10]
    append(tmp_path, line(20)[9:])
    assert watch.read()
    assert [row["step"] for row in watch.rows] == [10, 20]


def test_a_resumed_run_forgets_what_came_after_its_checkpoint(tmp_path):
    watch = RunWatch(tmp_path)
    append(tmp_path, line(10) + line(20) + line(30))
    watch.read()
    (tmp_path / "log.jsonl").write_text(line(10), encoding="utf-8")
    assert watch.read()
    append(tmp_path, line(20, loss=7.0))
    watch.read()
    assert [row["step"] for row in watch.rows] == [10, 20]
    assert watch.rows[-1]["loss"] == 7.0


def test_a_step_said_again_replaces_what_was_said_of_it(tmp_path):
    watch = RunWatch(tmp_path)
    append(tmp_path, line(10) + line(20) + line(30) + line(20, loss=7.0))
    watch.read()
    assert [row["step"] for row in watch.rows] == [10, 20]
    assert watch.rows[-1]["loss"] == 7.0


@pytest.mark.parametrize("junk", ["{", "[1]", "12", '{"loss": 1}', '{"step": "x"}', "", "null"])
def test_lines_that_are_none_of_a_log_are_passed_over(tmp_path, junk):
    watch = RunWatch(tmp_path)
    append(tmp_path, line(10) + junk + "\n" + line(20))
    assert watch.read()
    assert [row["step"] for row in watch.rows] == [10, 20]


def test_numbers_that_are_none_are_not_told(tmp_path):
    watch = RunWatch(tmp_path)
    append(tmp_path, '{"step": 5, "check_median_mm": NaN, "loss": null, "steps": true}\n')
    watch.read()
    assert watch.progress.error_mm is None
    assert watch.progress.best_mm is None
    assert watch.progress.fraction == 0


def test_the_newest_picture_is_that_of_the_latest_step(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("step_000500.png", "step_001000.png", "step_000020.png", ".step_009000.partial.png", "other.png"):
        (tmp_path / "pictures" / name).touch()
    assert RunWatch(tmp_path).newest_picture().name == "step_001000.png"
    assert RunWatch(tmp_path).newest_picture("kernels") is None
    (tmp_path / "pictures" / "kernels_000500.png").touch()
    assert RunWatch(tmp_path).newest_picture("kernels").name == "kernels_000500.png"


def test_a_good_median_does_not_hide_what_is_far_off(tmp_path):
    """A run said "2.15 mm" where one point in twenty was 52 mm off."""
    append(tmp_path, line(20, check_median_mm=2.15, check_p95_mm=52.0))
    watch = RunWatch(tmp_path)
    assert watch.read() and watch.progress.p95_mm == 52.0
    text = step_text(watch.rows[-1] | {"loss": 0.5, "seconds_left": 90.0}, "in-plane error", "mm")
    assert "in-plane error median 2.15 mm, 95th percentile 52.00 mm, 2 min left" in text


def test_a_log_without_percentiles_is_read_and_said(tmp_path):
    append(tmp_path, line(20, check_median_mm=3.0))
    watch = RunWatch(tmp_path)
    assert watch.read() and watch.progress.p95_mm is None
    assert step_text(watch.rows[-1] | {"loss": 0.5}, "error", "pixels").startswith("step 20 of ")
