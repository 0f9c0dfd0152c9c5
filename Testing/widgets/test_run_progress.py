"""The line of a run in the training window names the worst landmark, and those that are not learnt with what helps."""

import pytest

from LandmarkTrainingLib.core.runs.flat_channels import REMEDY
from LandmarkTrainingLib.core.runs.run_watch import Progress

pytest.importorskip("slicer", exc_type=ImportError)


@pytest.fixture
def progress_text(stand_in):
    from LandmarkTrainingLib.widgets.run_section import progress_text

    return progress_text


def test_a_dead_landmark_is_shown_beside_a_good_median(progress_text):
    progress = Progress(
        step=1200,
        steps=1200,
        seconds_left=0.0,
        error_mm=1.41,
        best_mm=1.41,
        p95_mm=56.0,
        mean_mm=4.3,
        worst="GONION",
        worst_mm=56.2,
        flat=("GONION",),
    )
    assert progress_text(progress, left=False) == (
        "step 1200 of 1200, median error 1.41 mm (best 1.41), mean 4.30 mm, 95th percentile 56.00 mm, "
        f"worst GONION 56.20 mm. Not learnt so far: GONION. {REMEDY}"
    )


def test_a_log_of_an_earlier_version_is_shown_as_before(progress_text):
    progress = Progress(step=5, steps=10, seconds_left=None, error_mm=2.0, best_mm=2.0, p95_mm=52.0)
    text = progress_text(progress, left=True)
    assert text == "step 5 of 10, median error 2.00 mm (best 2.00), 95th percentile 52.00 mm"
