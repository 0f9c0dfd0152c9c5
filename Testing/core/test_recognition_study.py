"""Limits of recognition from measured scores: nothing foreign reaches them, and what they decide is counted."""

from __future__ import annotations

import json
import shutil

import pytest

from AutoVolumeCalibrationLib.core.models.bundle import read_metadata
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_MODEL, shipped_models
from benchmarks.recognition_study.limits import (
    LEAST_GAP,
    USUAL_LEAD,
    Scored,
    confusion,
    decided,
    lead_of,
    score_limit,
)
from benchmarks.recognition_study.recording import record


def scored(truth, brain, knee, best=None, name="study"):
    middle = {"brain": brain, "knee": knee}
    return Scored(name, truth, truth, 5, middle, best or middle, {})


LOG = [
    scored("brain", 0.80, 0.20),
    scored("brain", 0.70, 0.30),
    scored("knee", 0.25, 0.60),
    scored("neither", 0.10, 0.10, {"brain": 0.40, "knee": 0.22}),
]


def test_the_limit_lies_half_way_between_the_highest_foreign_and_the_lowest_own_score():
    brain, knee = score_limit(LOG, "brain"), score_limit(LOG, "knee")
    assert (brain.highest_foreign, brain.lowest_own, brain.limit) == (0.40, 0.70, 0.55) and brain.separates
    assert (knee.highest_foreign, knee.lowest_own, knee.limit) == (0.30, 0.60, 0.45)


def test_where_scores_overlap_nothing_foreign_is_sure():
    overlapping = [*LOG, scored("brain", 0.38, 0.1)]
    limit = score_limit(overlapping, "brain")
    assert not limit.separates and limit.limit == pytest.approx(0.40 + LEAST_GAP)
    with pytest.raises(ValueError, match="no study that is a spine"):
        score_limit(LOG, "spine")


LIMITS = {"brain": 0.55, "knee": 0.45}


@pytest.mark.parametrize(
    ("study", "decision"),
    [
        (LOG[0], "brain"),
        (LOG[2], "knee"),
        (LOG[3], "neither"),
        (scored("knee", 0.1, 0.2, {"brain": 0.1, "knee": 0.6}), "knee"),
        (scored("knee", 0.60, 0.65), "either"),
        (scored("knee", 0.60, 0.75), "knee"),
    ],
)
def test_decisions_are_those_of_recognition(study, decision):
    assert decided(study, LIMITS, USUAL_LEAD) == decision


def test_the_lead_exceeds_that_of_every_wrong_model():
    assert lead_of(LOG, LIMITS) == USUAL_LEAD
    fooled = [*LOG, scored("knee", 0.75, 0.5)]
    assert lead_of(fooled, LIMITS) == pytest.approx(0.25 + LEAST_GAP)
    assert confusion(fooled, LIMITS, lead_of(fooled, LIMITS)) == {
        ("brain", "brain"): 2,
        ("knee", "knee"): 1,
        ("neither", "neither"): 1,
        ("knee", "either"): 1,
    }


def test_limits_are_recorded_in_the_bundle(tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(shipped_models()[DEFAULT_MODEL] / "configs", folder / "configs")
    before = read_metadata(folder)
    record(folder, 0.51, 0.12, 99)
    after = read_metadata(folder)
    assert after["limits"] == {**before["limits"], "recognition_score": 0.51, "recognition_lead": 0.12}
    assert after["evidence"] == {**before["evidence"], "recognition": "measured on 99 studies"}
    assert json.dumps(after["weights"]) == json.dumps(before["weights"])
