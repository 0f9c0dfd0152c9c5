"""Intervals over people and seeds, on made-up trainings whose variances are known."""

import numpy as np
import pytest

from LandmarkTrainingLib.core.evaluation.slice_measurement import pooled
from LandmarkTrainingLib.core.evaluation.statistics import compare_paired
from LandmarkTrainingLib.core.experiments.ablations.people_and_seeds import (
    crossed_interval,
    difference,
    mean_interval,
    person_means,
)

PEOPLE, SEEDS = 18, 3


def trainings(rng, mean, person, seeds=SEEDS, seed_sd=0.5, rest_sd=0.3):
    """(seeds, people) errors: of the person, of the training, and of both together."""
    return (
        mean
        + person
        + seed_sd * rng.standard_normal((seeds, 1))
        + 0.2 * rng.standard_normal(len(person))
        + rest_sd * rng.standard_normal((seeds, len(person)))
    )


def two_networks(rng, apart=0.0, seeds=SEEDS):
    person = rng.standard_normal(PEOPLE)
    return trainings(rng, 5 + apart, person, seeds), trainings(rng, 5, person, seeds)


def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = np.mean([0.4 in difference(*two_networks(rng, 0.4)).interval for _ in range(600)])
    assert 0.93 <= held <= 0.985


def test_an_interval_over_people_alone_is_wrong_where_seeds_differ():
    """What was reported before: one training each, people resampled."""
    rng, names = np.random.default_rng(1), [str(person) for person in range(PEOPLE)]
    held = []
    for _ in range(150):
        first, second = two_networks(rng, seeds=1)
        held.append(0.0 in compare_paired(first[0], second[0], names, resamples=300).difference)
    assert np.mean(held) < 0.4


def test_no_difference_is_called_significant_in_one_of_twenty():
    rng = np.random.default_rng(2)
    assert np.mean([difference(*two_networks(rng)).p_value < 0.05 for _ in range(600)]) <= 0.07


def test_the_variance_of_the_mean_is_that_of_the_model():
    """Known: people 1, seeds 0.5, both 0.3; the interval's width follows."""
    rng = np.random.default_rng(3)
    tables = [trainings(rng, 5, rng.standard_normal(200), seeds=40) for _ in range(60)]
    known = np.sqrt((1 + 0.2**2) / 200 + 0.5**2 / 40 + 0.3**2 / 8000)
    widths = [(found.high - found.low) / 2 for found in map(mean_interval, tables)]
    assert np.mean(widths) == pytest.approx(1.96 * known, rel=0.06)


def test_the_same_training_in_two_ways_is_compared_pair_by_pair():
    rng = np.random.default_rng(4)
    (table, _) = two_networks(rng)
    better = table - 0.3 + 0.01 * rng.standard_normal(table.shape)
    paired, unpaired = difference(better, table, same_trainings=True), difference(better, table)
    assert paired.interval.high < 0 < unpaired.interval.high
    assert paired.interval.estimate == pytest.approx(-0.3, abs=0.02)


def test_sizes_of_the_effect():
    found = difference(np.array([[9.0, 10.0, 11.0]]), np.array([[10.0, 10.0, 13.0]]))
    assert found.interval.estimate == pytest.approx(-1)
    assert found.percent == pytest.approx(-100 / 11)
    assert found.per_person_sd == pytest.approx(-1)
    assert found.seeds == (1, 1) and not found.over_seeds and found.people == 3


def slices(rng, mean, seeds):
    """Errors of slices of 6 people (12, 4) of each training, some not measured, and whose slices they are."""
    errors = [mean + shift + rng.standard_normal((12, 4)) for shift in rng.standard_normal(seeds)]
    for of_seed in errors:
        of_seed[0, 0] = np.nan
    return errors, [f"p{number // 2}" for number in range(12)]


def test_seeds_are_concatenated_not_averaged():
    """Averaged before, the 95th percentile of two equal trainings was 10.6 instead of 12.0."""
    rng = np.random.default_rng(5)
    errors, subjects = slices(rng, 5, 2)
    values, owners = pooled(errors, subjects)
    every = np.concatenate([of_seed[np.isfinite(of_seed)] for of_seed in errors])
    assert sorted(values) == sorted(every) and len(owners) == 2 * 47
    found = crossed_interval(errors, subjects, lambda v: float(np.percentile(v, 95)), resamples=50)
    assert found.estimate == np.percentile(every, 95) > np.nanpercentile(np.mean(errors, axis=0), 95)


def test_seeds_that_differ_widen_the_interval_of_the_median():
    rng = np.random.default_rng(6)
    errors, subjects = slices(rng, 5, 3)
    apart = crossed_interval(errors, subjects, np.median, resamples=200)
    alike = crossed_interval([errors[0]] * 3, subjects, np.median, resamples=200)
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)


def test_every_person_weighs_the_same():
    errors = np.array([[1.0, 3.0], [np.nan, 2.0], [8.0, np.nan]])
    assert person_means([errors], ["a", "a", "b"]).tolist() == [[2.0, 8.0]]
