import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkTrainingLib.core.evaluation.keypoint_metrics import (
    OKS_THRESHOLDS,
    PresenceScores,
    average_precision,
    mean_average_precision,
    object_keypoint_similarity,
)

NAN, INF = math.nan, math.inf


def test_similarity_by_hand():
    distances = np.array([[0.0, 20.0], [10.0, NAN], [INF, INF], [NAN, NAN], [INF, 0.0]])
    constants, scale = np.array([0.05, 0.1]), 200.0
    # exponents: 20^2 / (2 * 20^2) = 1/2 and 10^2 / (2 * 10^2) = 1/2
    expected = [(1 + math.exp(-0.5)) / 2, math.exp(-0.5), 0.0, NAN, 0.5]
    assert object_keypoint_similarity(distances, constants, scale) == pytest.approx(expected, nan_ok=True)


def test_each_case_may_have_its_own_scale():
    distances = np.array([[4.0, 7.0], [8.0, 14.0]])
    one, two = object_keypoint_similarity(distances, np.array([0.05, 0.07]), np.array([90.0, 180.0]))
    assert one == pytest.approx(two)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=6), st.floats(1, 300))
def test_similarity_lies_between_nothing_and_one_and_falls_with_the_distance(distances, scale):
    distances, constants = np.array(distances), np.linspace(0.02, 0.2, len(distances))
    near, far = (object_keypoint_similarity(factor * distances, constants, scale) for factor in (1.0, 1.5))
    assert 0 <= far <= near <= 1
    assert object_keypoint_similarity(0 * distances, constants, scale) == 1


@pytest.mark.parametrize(("constants", "scale"), [([0.0], 1.0), ([0.1], 0.0), ([-0.1], 1.0), ([NAN], 1.0)])
def test_constants_and_scales_that_are_not_positive_are_refused(constants, scale):
    with pytest.raises(ValueError, match="must be positive"):
        object_keypoint_similarity(np.zeros((1, 1)), np.array(constants), np.array([scale]))


def test_precision_by_hand():
    similarities, confidences = np.array([0.9, 0.3, 0.8, 0.7]), np.array([0.9, 0.8, 0.7, NAN])
    # In the order of confidence: right, wrong, right. Recall 1/4 at precision 1, 2/4 at 2/3; 26 and 25 of 101 recalls.
    assert average_precision(similarities, confidences, 0.5) == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert average_precision(similarities, confidences, 0.85) == pytest.approx(26 / 101)


def test_the_precision_at_a_recall_is_the_best_at_it_or_a_larger_one():
    # Wrong, right, right: precision 0, 1/2, 2/3, and no threshold needs to stop before the last.
    assert average_precision([0.1, 0.9, 0.9], [0.9, 0.8, 0.7], 0.5) == pytest.approx(67 / 101 * 2 / 3)
    assert average_precision([0.1, 0.9], [0.9, 0.8], 0.5) == pytest.approx(51 / 101 * 1 / 2)


def test_precision_of_perfect_of_wrong_and_of_no_detections():
    good, sure = np.full(5, 0.99), np.linspace(0.1, 0.9, 5)
    assert average_precision(good, sure, 0.95) == 1 == mean_average_precision(good, sure)
    assert average_precision(0 * good, sure, 0.5) == 0 == mean_average_precision(0 * good, sure)
    assert average_precision(good, np.full(5, NAN), 0.5) == 0
    assert math.isnan(average_precision(np.full(5, NAN), sure, 0.5)) and math.isnan(average_precision([], [], 0.5))


def test_a_case_without_truth_does_not_count():
    similarities, confidences = np.array([0.9, 0.3, 0.8]), np.array([0.5, 0.7, 0.6])
    more = np.append(similarities, [NAN, NAN]), np.append(confidences, [0.99, 0.01])
    assert average_precision(*more, 0.5) == average_precision(similarities, confidences, 0.5)


@given(st.integers(0, 10**6))
def test_the_order_of_the_cases_makes_no_difference_even_where_confidences_are_equal(seed):
    rng = np.random.default_rng(seed)
    similarities, confidences = rng.random(12), rng.integers(0, 3, 12) / 2
    turn = rng.permutation(12)
    assert mean_average_precision(similarities, confidences) == pytest.approx(
        mean_average_precision(similarities[turn], confidences[turn]), abs=1e-12
    )


def test_the_mean_average_precision_is_over_ten_similarities():
    assert OKS_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    # One case of similarity 0.75 reaches six of them.
    assert mean_average_precision([0.75], [1.0]) == pytest.approx(0.6)


def test_confidence_counts_only_by_its_order():
    rng = np.random.default_rng(3)
    similarities, confidences = rng.random(30), rng.random(30)
    value = mean_average_precision(similarities, confidences)
    assert value == mean_average_precision(similarities, np.exp(5 * confidences))
    assert value < mean_average_precision(similarities, similarities), "sure where right is best"
    assert value > mean_average_precision(similarities, -similarities)


def test_ratios_of_presence_by_hand():
    scores = PresenceScores(true_positives=2, false_positives=1, false_negatives=2, true_negatives=1)
    assert scores.precision == pytest.approx(2 / 3) and scores.recall == 0.5
    assert scores.f1 == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))


def test_a_ratio_without_cases_is_nan():
    nothing = PresenceScores(0, 0, 0, 3)
    assert all(math.isnan(ratio) for ratio in (nothing.precision, nothing.recall, nothing.f1))
    unfound = PresenceScores(0, 0, 3, 0)
    assert math.isnan(unfound.precision) and unfound.recall == 0 == unfound.f1
