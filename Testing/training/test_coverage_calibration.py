"""Factors that make stated uncertainties true: split conformal prediction over persons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import coverage_of
from LandmarkTrainingLib.core.coverage.calibration import (
    Scores,
    conformal_quantile,
    covered_by,
    covered_when_left_out,
    measure_coverage,
    person_of,
    scores_of,
)
from LandmarkTrainingLib.core.coverage.report import coverage_report, draw_coverage
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.evaluation.metrics import BoxErrors

RULE = load_protocol("BrainAcPc").boxes[0]


def scores(persons=200, poses=4, seed=0, understated=1.0, shift=0.0):
    """Cases whose errors are normal; half of each error belongs to the person."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(persons), poses)
    sd = rng.uniform(0.5, 3.0, (len(who), 9))
    own = rng.normal(size=(persons, 9))[who]
    errors = (own + rng.normal(size=(len(who), 9))) / np.sqrt(2) * sd
    errors[:, :6] += shift
    scouts = np.where(np.arange(len(who)) % 2, "P5", "P1")
    stated = sd / understated
    return Scores(who.astype(str), scouts, errors[:, :6], stated[:, :6], errors[:, 6:], stated[:, 6:])


def test_honest_deviations_get_the_factors_of_a_normal_distribution():
    measured, assumed = measure_coverage([scores(600)], RULE), coverage_of(RULE, ())
    assert list(measured.factors.values()) == pytest.approx([assumed.factors["left"]] * 6, abs=0.2)
    assert measured.joint_factor == pytest.approx(assumed.joint_factor, abs=0.2)
    assert measured.angle_factors == pytest.approx(assumed.angle_factors, abs=0.2)
    assert (measured.heads, measured.cases) == (600, 2400)


def test_deviations_stated_too_small_are_made_good():
    honest, bold = (measure_coverage([scores(understated=u)], RULE) for u in (1.0, 2.0))
    assert bold.joint_factor == pytest.approx(2 * honest.joint_factor)
    assert list(bold.factors.values()) == pytest.approx([2 * f for f in honest.factors.values()])
    assert bold.angle_factors == pytest.approx([2 * f for f in honest.angle_factors])


def test_what_is_missing_on_average_is_an_offset_not_a_spread():
    usual, small = measure_coverage([scores()], RULE), measure_coverage([scores(shift=3.0)], RULE)
    assert list(small.offset_mm.values()) == pytest.approx([3 + o for o in usual.offset_mm.values()])
    assert small.joint_factor == pytest.approx(usual.joint_factor)


def test_persons_never_seen_are_covered_as_promised():
    coverage = measure_coverage([scores(100, understated=1.7, shift=1.0)], RULE)
    covered = covered_by(scores(2000, seed=1, understated=1.7, shift=1.0), coverage)
    assert covered.joint.mean() == pytest.approx(0.95, abs=0.03)
    assert covered.faces.mean(axis=0) == pytest.approx(np.full(6, 0.95), abs=0.04)
    assert covered.angles.mean(axis=0) == pytest.approx(np.full(3, 0.95), abs=0.04)


def test_the_harder_of_two_groups_decides():
    easy, hard = scores(understated=1.0), scores(seed=3, understated=2.5)
    both = measure_coverage([easy, hard], RULE)
    assert both.joint_factor == pytest.approx(measure_coverage([hard], RULE).joint_factor, rel=0.05)
    assert covered_by(easy, both).joint.mean() > 0.99


def test_every_case_left_out_stays_in_its_place():
    real = scores(12, poses=3)
    mixed = np.random.default_rng(4).permutation(len(real.persons))
    there, here = (covered_when_left_out(part, [], RULE) for part in (real, real.part(mixed)))
    assert (here.faces == there.faces[mixed]).all() and (here.joint == there.joint[mixed]).all()
    assert here.margins_mm == pytest.approx(there.margins_mm[mixed])


def test_a_person_with_an_error_of_their_own_is_not_covered_when_left_out():
    real = scores(30, poses=3)
    odd = real.persons == "7"
    real = replace(real, needed_mm=np.where(odd[:, None], 100 * real.face_sd_mm, real.needed_mm))
    assert not covered_when_left_out(real, [], RULE).joint[odd].any()
    assert covered_when_left_out(real, [], RULE).joint[~odd].mean() > 0.9


def test_persons_weigh_the_same_however_many_cases_there_are_of_them():
    values = np.array([0.0] * 50 + list(np.linspace(1, 2, 39)))
    persons = np.array(["many"] * 50 + [str(i) for i in range(39)])
    assert conformal_quantile(values, persons, 0.5) == pytest.approx(np.quantile(np.linspace(1, 2, 39), 0.5), abs=0.03)


def test_with_too_few_persons_the_largest_score_is_taken():
    values, persons = np.arange(10.0), np.array([str(i) for i in range(10)])
    assert conformal_quantile(values, persons, 0.95) == 9
    assert conformal_quantile(values, persons, 0.5) == 5


def test_cases_of_an_older_log_are_told():
    with pytest.raises(InputError, match="Evaluate again"):
        scores_of([CaseResult("a", 0, "P5", "m")], {"a": "A"})


def test_cases_become_scores():
    box = BoxErrors((1.0, 2.0, 3.0), 3.7, 1.0, (0.0,) * 6, 0.9)
    case = CaseResult(
        "a", 0, "P5", "m", box=box, frame_angles_deg=[1, 2, 3], needed_mm=[4] * 6, face_sd_mm=[2] * 6,
        angles_sd_deg=[1, 1, 1],
    )  # fmt: skip
    result = scores_of([case, replace(case, failure="refused", box=None)], {"a": "A (35)"})
    assert result.persons.tolist() == ["A"] and result.needed_mm.tolist() == [[4.0] * 6]


@pytest.mark.parametrize(
    ("subject", "person"), [("S-CR", "S-CR"), ("probably S-CR", "S-CR"), ("NC01 (elderly)", "NC01")]
)
def test_what_a_table_says_of_a_subject_besides_the_name_is_left_out(subject, person):
    assert person_of(subject) == person


def test_the_report_tells_shares_and_factors_and_the_picture_is_drawn(tmp_path):
    real, simulated = scores(8, poses=4), [scores(25, poses=1, seed=5)]
    shipped = measure_coverage([real, *simulated], RULE)
    text = coverage_report(real, simulated, RULE, shipped, coverage_of(RULE, ()))
    assert "8 subjects, 32 cases" in text and f"{shipped.joint_factor:.2f}" in text
    assert all(face in text for face in FACES) and text.count("left out") >= 3
    draw_coverage(real, simulated, RULE, tmp_path / "coverage.png")
    assert (tmp_path / "coverage.png").stat().st_size > 10_000
