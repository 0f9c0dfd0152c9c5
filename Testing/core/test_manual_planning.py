"""Planning by hand: a typical head follows the points a person places."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.workflow.manual_planning import (
    is_by_hand,
    plan_by_hand,
    propagate_corrections,
    scouts_center_mm,
)
from AutoVolumeCalibrationLib.core.workflow.pipeline import refit
from calibrations import calibration, scout_stacks

PROTOCOL = load_protocol("BrainAcPc")
TURN = Rotation.from_euler("XYZ", (12, -5, 8), degrees=True)


@pytest.fixture(scope="module")
def plan():
    return plan_by_hand(scout_stacks(), PROTOCOL)


def true_places() -> dict[str, np.ndarray]:
    """A larger head than usual, turned and shifted."""
    places = 1.06 * TURN.apply(PROTOCOL.constellation.reference_mm) + [6.0, -12.0, 15.0]
    return dict(zip(PROTOCOL.constellation.names, places, strict=True))


def placed(plan, names) -> list[Landmark]:
    places = true_places()
    return [mark.corrected(places[mark.name]) for mark in plan.landmarks if mark.name in names]


def test_the_typical_head_is_never_trusted(plan):
    assert plan.has_errors
    assert "typical" in plan.checks[0].message
    assert min(plan.box.face_sd_mm.values()) > 10
    assert is_by_hand(plan)
    assert not is_by_hand(calibration())


def test_three_placed_points_place_the_whole_head(plan):
    fitted = refit(plan, placed(plan, ("AC", "PC", "VERTEX")))
    places = true_places()
    errors = [np.linalg.norm(fitted.frame.expected_mm[name] - place) for name, place in places.items()]
    assert np.median(errors) < 3
    turn_deg = Rotation.from_matrix(fitted.frame.axes.T @ TURN.inv().as_matrix()).magnitude() * 180 / np.pi
    assert turn_deg < 4
    assert not fitted.has_errors


def test_more_points_make_it_more_certain(plan):
    names = ("AC", "PC", "VERTEX", "LATERAL_L", "LATERAL_R", "OCCIPITAL_L")
    worst = [max(refit(plan, placed(plan, names[:count])).box.face_sd_mm.values()) for count in (1, 2, 3, 5, 6)]
    assert worst == sorted(worst, reverse=True)


def test_the_rest_follows_and_the_placed_points_and_the_box_stay(plan):
    fitted = refit(plan, placed(plan, ("AC", "PC", "VERTEX")))
    after = propagate_corrections(fitted)
    positions = {mark.name: mark.position_mm for mark in after.landmarks}
    places = true_places()
    for name in ("AC", "PC", "VERTEX"):
        assert positions[name] == pytest.approx(places[name])
    assert positions["LATERAL_L"] == pytest.approx(fitted.frame.expected_mm["LATERAL_L"])
    assert after.box.center_mm == pytest.approx(fitted.box.center_mm, abs=0.3)
    assert after.box.axes == pytest.approx(fitted.box.axes, abs=0.01)


def test_a_cleared_point_stays_cleared(plan):
    fitted = refit(plan, [*placed(plan, ("AC", "PC", "VERTEX")), Landmark("GENU")])
    assert {mark.name: mark.status for mark in propagate_corrections(fitted).landmarks}["GENU"] == "missing"


def test_the_head_begins_where_the_scouts_cross():
    stacks = scout_stacks(rotation_deg=(10, 5, -8))
    assert scouts_center_mm(stacks) == pytest.approx(np.zeros(3), abs=0.1)
    assert scouts_center_mm(stacks[:2]) == pytest.approx(np.zeros(3), abs=3)


def test_one_plane_is_not_enough():
    with pytest.raises(InputError, match="two of the three planes"):
        plan_by_hand(scout_stacks(planes=["axial"]), PROTOCOL)
