"""Promises about margins in words and numbers, and the adjusted protocols, at their borders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, face_center_mm, outward_axis
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import coverage_of, coverages_from_list
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.planning.margins import coverage_text, margins_mm
from posed_landmarks import landmarks_at, random_placement

PROTOCOL = load_protocol("BrainAcPc")
MEASURED = replace(
    coverage_of(PROTOCOL.boxes[0], ()),
    offset_mm={face: 0.1234567 + i for i, face in enumerate(FACES)},
    factors={face: 1.2345678 + i for i, face in enumerate(FACES)},
    joint_factor=2.9876543,
    angle_factors=(2.1114, 2.2226, 2.3335),
    heads=1,
    cases=3,
)


@pytest.mark.parametrize(
    ("reach_mm", "covered"), [(0.0, True), (5.04, True), (5.06, False), (5.5, False), (6.0, False), (9.0, False)]
)
def test_a_reach_beyond_the_margin_is_told_from_a_twentieth_of_a_millimetre_on(reach_mm, covered):
    """Less would be written as 0.0."""
    assert ("covered" in coverage_text(5.0, reach_mm, True)) == covered
    assert f"{abs(reach_mm - 5.0):.1f} mm" in coverage_text(5.0, reach_mm, True)


def test_the_margins_of_the_second_box_are_its_own():
    first = PROTOCOL.boxes[0]
    second = replace(
        first,
        name="Another",
        round_up_to_slices=False,
        faces={face: replace(first.faces[face], margin_mm=-3.0 + i) for i, face in enumerate(FACES)},
    )
    for boxes in ((first, second), (second, first)):
        protocol = replace(PROTOCOL, boxes=boxes)
        frame = fit_frame(landmarks_at(protocol, placement=random_placement(3)), protocol)
        box = plan_box(frame, protocol, second)
        assert margins_mm(box, frame, protocol) == pytest.approx({face: -3.0 + i for i, face in enumerate(FACES)})


def test_a_margin_is_the_distance_from_the_outermost_landmark_to_the_face():
    frame = fit_frame(landmarks_at(PROTOCOL, placement=random_placement(5)), PROTOCOL)
    rule = PROTOCOL.boxes[0]
    box = plan_box(frame, PROTOCOL, rule)
    for face, margin in margins_mm(box, frame, PROTOCOL).items():
        outward = outward_axis(box.axes, face)
        outermost = max(frame.expected_mm[name] @ outward for name in rule.faces[face].landmarks)
        assert margin == pytest.approx(face_center_mm(box, face) @ outward - outermost)


def test_factors_are_written_to_a_thousandth():
    written = MEASURED.to_dict()
    assert written["offset_mm"]["right"] == 1.123 and written["factors"]["left"] == 1.235
    assert written["joint_factor"] == 2.988 and written["angle_factors"] == [2.111, 2.223, 2.333]
    assert (written["heads"], written["cases"]) == (1, 3)


def test_one_head_is_a_measurement_and_none_an_assumption():
    assert MEASURED.measured is True
    assert coverage_of(PROTOCOL.boxes[0], ()).measured is False


def test_what_a_deviation_promises_is_its_factor_and_the_offset():
    sd = {face: 1.0 + i for i, face in enumerate(FACES)}
    reach, safe = MEASURED.reach_mm(sd), MEASURED.safe_margins_mm(sd)
    for i, face in enumerate(FACES):
        assert reach[face] == pytest.approx(0.1234567 + i + (1.2345678 + i) * (1.0 + i))
        assert safe[face] == pytest.approx(0.1234567 + i + 2.9876543 * (1.0 + i))
    covariance = np.diag(np.deg2rad([1.0, 2.0, 3.0, 0, 0, 0]) ** 2)
    assert MEASURED.angles_deg(covariance) == pytest.approx([2.1114, 2 * 2.2226, 3 * 2.3335])


@pytest.mark.parametrize(
    "damage",
    [
        {"angle_factors": [1.0, 2.0, 3.0, 4.0]},
        {"angle_factors": [1.0, 2.0, float("inf")]},
        {"angle_factors": [1.0, 2.0, -0.1]},
        {"factors": {**dict.fromkeys(FACES, 1.0), "left": -0.1}},
        {"offset_mm": dict.fromkeys(FACES, float("nan"))},
        {"heads": "many"},
    ],
)
def test_factors_must_be_finite_not_negative_and_three_for_the_angles(damage):
    with pytest.raises(ValueError, match="damaged"):
        coverages_from_list([{**MEASURED.to_dict(), **damage}])


def test_factors_of_nothing_and_negative_offsets_are_allowed():
    """Anatomy may end inside its outermost landmark; a factor of 0 says that the deviation adds nothing."""
    none = {"angle_factors": [0.0, 0.0, 0.0], "offset_mm": dict.fromkeys(FACES, -1.0), "joint_factor": 0.0}
    (read,) = coverages_from_list([{**MEASURED.to_dict(), **none}])
    assert read.safe_margins_mm(dict.fromkeys(FACES, 2.0)) == dict.fromkeys(FACES, -1.0)


def test_the_factors_of_the_right_box_are_found_among_others():
    rule = PROTOCOL.boxes[0]
    other = replace(MEASURED, rule={**MEASURED.rule, "tilt_deg": [1.0, 0.0, 0.0]})
    assert coverage_of(rule, (other, MEASURED)) is MEASURED
    assert coverage_of(replace(rule, tilt_deg=(1.0, 0.0, 0.0)), (MEASURED, other)) is other
