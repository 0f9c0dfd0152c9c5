import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkTrainingLib.core.evaluation.statistics import bootstrap_interval, compare_paired, holm


def clustered(rng, subjects=15, cases=6, mean=3.0, between=1.0, within=0.5):
    """Cases whose subjects differ more than the cases of one."""
    levels = mean + between * rng.standard_normal(subjects)
    values = levels[:, None] + within * rng.standard_normal((subjects, cases))
    return values.ravel(), np.repeat([f"s{i}" for i in range(subjects)], cases).tolist()


def coverage(repeats, by_subject, subjects=15):
    """Share of simulated studies whose 95 % interval of the mean holds the true mean."""
    hits = 0
    for seed in range(repeats):
        values, names = clustered(np.random.default_rng(seed), subjects)
        names = names if by_subject else [str(i) for i in range(len(values))]
        hits += 3.0 in bootstrap_interval(values, names, resamples=300, seed=seed)
    return hits / repeats


def test_the_interval_holds_the_truth_about_as_often_as_it_says_and_drawing_cases_would_not():
    assert 0.88 <= coverage(150, by_subject=True) <= 0.99
    assert coverage(60, by_subject=False) < 0.75


def test_the_interval_of_single_cases_is_that_of_the_mean():
    values = np.random.default_rng(0).standard_normal(400)
    interval = bootstrap_interval(values, [str(i) for i in range(400)])
    assert interval.estimate == pytest.approx(values.mean())
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)


def test_repeating_every_case_does_not_narrow_the_interval():
    values, names = clustered(np.random.default_rng(1))
    once = bootstrap_interval(values, names)
    often = bootstrap_interval(np.repeat(values, 10), np.repeat(names, 10).tolist())
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_more_confidence_is_a_wider_interval_round_the_same_estimate():
    values, names = clustered(np.random.default_rng(2))
    narrow, wide = (bootstrap_interval(values, names, confidence=c) for c in (0.68, 0.99))
    assert wide.low < narrow.low < narrow.estimate == wide.estimate < narrow.high < wide.high


def test_any_statistic_of_the_cases_can_be_given():
    values, names = clustered(np.random.default_rng(3))
    median = bootstrap_interval(values, names, np.median)
    assert median.estimate == np.median(values) and median.low < median.estimate < median.high
    share = bootstrap_interval(values, names, lambda v: (v < 3).mean())
    assert 0 <= share.low <= share.estimate <= share.high <= 1


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6))
def test_the_order_of_the_cases_makes_no_difference(seed):
    rng = np.random.default_rng(seed)
    values, names = clustered(rng, subjects=5, cases=3)
    other = values + rng.standard_normal(15)
    turn = rng.permutation(15)
    turned = [names[i] for i in turn]
    assert bootstrap_interval(values, names, resamples=50) == bootstrap_interval(values[turn], turned, resamples=50)
    assert compare_paired(values, other, names, resamples=50) == compare_paired(
        values[turn], other[turn], turned, resamples=50
    )


def test_one_subject_has_no_interval_and_no_cases_have_no_estimate():
    one = bootstrap_interval([1.0, 2.0, 6.0], ["a"] * 3)
    assert one.estimate == 3 and math.isnan(one.low) and math.isnan(one.high) and 3 not in one
    assert math.isnan(bootstrap_interval([], []).estimate) and math.isnan(bootstrap_interval([np.nan], "a").estimate)


def test_what_is_no_number_is_left_out():
    values, names = [1.0, np.nan, 2.0, np.inf, 5.0], ["a", "a", "b", "b", "c"]
    assert bootstrap_interval(values, names) == bootstrap_interval([1.0, 2.0, 5.0], ["a", "b", "c"])
    comparison = compare_paired(values, [0.0, 1.0, np.nan, 4.0, 3.0], names)
    assert comparison.cases == 2 and comparison.subjects == 2 and comparison.difference.estimate == 1.5


def test_identical_methods_do_not_differ():
    values, names = clustered(np.random.default_rng(4))
    comparison = compare_paired(values, values, names)
    assert comparison.p_value == 1 and comparison.difference.estimate == 0 and 0 in comparison.difference


def test_a_difference_that_is_rounding_is_none():
    values, names = clustered(np.random.default_rng(4))
    comparison = compare_paired(values + 0.1, (values + 0.3) - 0.2, names)
    assert comparison.p_value == 1 and comparison.difference.estimate == 0


def test_swapping_the_methods_turns_the_difference_round():
    rng = np.random.default_rng(5)
    values, names = clustered(rng)
    other = values + 0.3 * rng.standard_normal(len(values)) + 0.1
    there, back = compare_paired(values, other, names), compare_paired(other, values, names)
    assert there.p_value == pytest.approx(back.p_value)
    assert there.difference.estimate == pytest.approx(-back.difference.estimate)
    assert there.difference.low == pytest.approx(-back.difference.high)


def test_a_better_method_is_told_from_noise_by_pairs():
    rng = np.random.default_rng(6)
    values, names = clustered(rng, between=5.0)
    better = values - 0.5 + 0.2 * rng.standard_normal(len(values))
    comparison = compare_paired(values, better, names)
    assert comparison.p_value < 0.001 and comparison.difference.low > 0.3
    assert comparison.subjects == 15 and comparison.cases == 90


def test_many_cases_of_few_subjects_prove_little():
    values = np.repeat([1.0, 2.0, 3.0], 100)
    comparison = compare_paired(values, values - 1.0, np.repeat(["a", "b", "c"], 100).tolist())
    assert comparison.p_value == pytest.approx(0.25), "the least that three subjects can give"


def test_false_alarms_are_about_as_rare_as_stated():
    alarms = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        first, names = clustered(rng, subjects=12, cases=4)
        second = clustered(rng, subjects=12, cases=4)[0]
        alarms += compare_paired(first, second, names, resamples=2).p_value < 0.05
    assert alarms / 300 < 0.09


def test_pairs_must_be_as_many():
    with pytest.raises(ValueError, match="not pairs"):
        compare_paired([1.0, 2.0], [1.0], ["a", "b"])
    with pytest.raises(ValueError, match="zip"):
        bootstrap_interval([1.0, 2.0], ["a"])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0]) and holm([]) == []
    assert holm([0.02]) == [0.02]
    assert holm([0.01, math.nan, 0.02]) == pytest.approx([0.02, math.nan, 0.02], nan_ok=True)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferroni(values):
    corrected = np.array(holm(values))
    assert (corrected >= np.array(values)).all()
    assert (corrected <= np.minimum(1, len(values) * np.array(values)) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(values, kind="stable")]) >= 0).all()
