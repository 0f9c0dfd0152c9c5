import json
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import (
    LARGEST_SPREAD_FACTOR,
    PeakUncertainty,
    default_uncertainty,
    uncertainty_from_dict,
)
from AutoVolumeCalibrationLib.core.errors import ModelError

BASE = np.arange(1, 13, dtype=float).reshape(3, 2, 2)
KNOWN = PeakUncertainty(BASE, np.array([0.2, 0.6, 0.9]), np.array([3.0, 1.0, 0.5]), 4.0, 6.0)


def sd(plane=1, height=0.6, spread=4.0):
    return KNOWN.sd_mm(plane, np.full((5, 2), height), np.full((5, 2, 2), spread))


def test_each_plane_landmark_and_axis_has_its_own_base():
    for plane in range(3):
        assert sd(plane=plane) == pytest.approx(np.broadcast_to(BASE[plane], (5, 2, 2)))


@pytest.mark.parametrize(("height", "factor"), [(0.0, 3), (0.2, 3), (0.4, 2), (0.6, 1), (0.75, 0.75), (1.3, 0.5)])
def test_a_lower_peak_is_less_certain(height, factor):
    assert sd(height=height) == pytest.approx(factor * sd())


@pytest.mark.parametrize(("spread", "factor"), [(1.0, 1), (4.0, 1), (8.0, 2), (1000.0, LARGEST_SPREAD_FACTOR)])
def test_a_wider_heatmap_is_less_certain_up_to_a_limit_and_a_narrow_one_no_better(spread, factor):
    assert sd(spread=spread) == pytest.approx(factor * sd())


def test_a_calibration_survives_its_dictionary():
    again = uncertainty_from_dict(json.loads(json.dumps(KNOWN.to_dict())), 2, "here")
    for name, value in vars(KNOWN).items():
        assert getattr(again, name) == pytest.approx(value)


def test_the_default_is_valid_for_any_number_of_landmarks():
    for count in (1, 45):
        assert uncertainty_from_dict(default_uncertainty(count).to_dict(), count, "here").base_mm.shape == (3, count, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"base_mm": BASE[:2]},
        {"base_mm": BASE[:, :1]},
        {"base_mm": -BASE},
        {"base_mm": BASE * np.nan},
        {"factors": np.array([1.0, 1.0])},
        {"factors": np.array([1.0, 0.0, 1.0])},
        {"peak_values": np.array([0.2, 0.9, 0.6])},
        {"peak_values": np.array([]), "factors": np.array([])},
        {"peak_values": KNOWN.peak_values[:, None], "factors": KNOWN.factors[:, None]},
        {"typical_spread_mm": 0.0},
        {"through_plane_mm": 0.0},
        {"through_plane_mm": float("inf")},
    ],
)
def test_a_calibration_that_cannot_be_is_refused(change):
    with pytest.raises(ModelError, match="bundle-folder: uncertainty calibration"):
        uncertainty_from_dict(replace(KNOWN, **change).to_dict(), 2, "bundle-folder")


@pytest.mark.parametrize("change", [{"heights": "low"}, {"through_plane_mm": None}, {"base_mm": [[1], [1, 2]]}])
def test_a_calibration_of_other_kinds_is_refused_in_one_line(change):
    with pytest.raises(ModelError, match="damaged") as caught:
        uncertainty_from_dict(KNOWN.to_dict() | change, 2, "bundle-folder")
    assert "\n" not in str(caught.value)


def test_a_calibration_that_lacks_a_number_is_refused():
    values = KNOWN.to_dict()
    del values["factors"]
    with pytest.raises(ModelError, match="factors"):
        uncertainty_from_dict(values, 2, "bundle-folder")


def test_the_shared_error_survives_the_dictionary_and_may_be_absent():
    shared = np.diag([1e-4, 2e-4, 3e-4, 1e-4, 1.0, 2.0, 3.0])
    known = replace(KNOWN, pose_covariance=shared)
    assert uncertainty_from_dict(json.loads(json.dumps(known.to_dict())), 2, "").pose_covariance == pytest.approx(
        shared
    )
    assert uncertainty_from_dict(KNOWN.to_dict(), 2, "").pose_covariance is None


@pytest.mark.parametrize("matrix", [np.eye(6), -np.eye(7), np.triu(np.ones((7, 7))), np.full((7, 7), np.nan)])
def test_a_shared_error_that_is_no_covariance_is_refused(matrix):
    with pytest.raises(ModelError, match="pose_covariance"):
        uncertainty_from_dict(replace(KNOWN, pose_covariance=matrix).to_dict(), 2, "")
