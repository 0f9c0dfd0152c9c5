"""Margins of a box: what is in them, what they promise, and protocols with others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.model_info import ModelInfo
from AutoVolumeCalibrationLib.core.errors import ProtocolError
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import coverage_of
from AutoVolumeCalibrationLib.core.planning.margins import coverage_text, margins_mm, plan_coverage, proposed_margins_mm
from AutoVolumeCalibrationLib.core.planning.protocol_editing import with_box, with_margins
from AutoVolumeCalibrationLib.core.workflow.pipeline import plan_from_landmarks
from calibrations import scout_stacks


@pytest.fixture(scope="module")
def plan():
    protocol = load_protocol("BrainAcPc")
    rng = np.random.default_rng(5)
    places = protocol.constellation.reference_mm + rng.normal(0, 1, protocol.constellation.reference_mm.shape)
    predicted = [
        Landmark(name, place, np.eye(3), 0.9, PREDICTED, ("axial",))
        for name, place in zip(protocol.constellation.names, places, strict=True)
    ]
    return plan_from_landmarks(scout_stacks(), protocol, (), predicted=predicted)


def planned_again(plan, protocol):
    return plan_from_landmarks(plan.stacks, protocol, (), predicted=plan.predicted, box=plan.box.name)


def test_margins_are_those_of_the_rule_and_what_whole_slices_add(plan):
    margins = margins_mm(plan.box, plan.frame, plan.protocol)
    for face in ("left", "right", "posterior", "anterior"):
        assert margins[face] == pytest.approx(5)
    assert margins["inferior"] == pytest.approx(margins["superior"])
    assert 5 <= margins["superior"] <= 5 + 3 / 2


@pytest.mark.parametrize(
    ("margin_mm", "reach_mm", "measured", "text"),
    [
        (5, 3.3, True, "covered, 1.7 mm to spare (95 %)"),
        (5, 6.6, True, "anatomy up to 1.6 mm beyond (95 %)"),
        (-2, 0, False, "anatomy up to 2.0 mm beyond (assumed)"),
    ],
)
def test_a_margin_and_its_uncertainty_become_a_promise(margin_mm, reach_mm, measured, text):
    assert coverage_text(margin_mm, reach_mm, measured) == text


def test_proposed_margins_are_safe_ones_rounded_up_to_half_a_millimetre(plan):
    safe = plan_coverage(plan).safe_margins_mm(plan.box.face_sd_mm)
    proposed = proposed_margins_mm(plan)
    assert set(proposed) == set(safe)
    for face, margin in proposed.items():
        assert 0 <= margin - safe[face] < 0.5 and margin * 2 == round(margin * 2)


def test_measured_factors_are_used_for_the_box_they_were_measured_for(plan):
    rule = plan.protocol.boxes[0]
    known = replace(coverage_of(rule, ()), offset_mm=dict.fromkeys(FACES, 1.0), joint_factor=3.0, heads=20, cases=60)
    measured = replace(plan, model=ModelInfo("m", "0" * 64, "cpu", coverage=(known,)))
    tilted = replace(rule, tilt_deg=(10.0, 0.0, 0.0))
    assert plan_coverage(measured).measured and not plan_coverage(plan).measured
    assert not coverage_of(tilted, (known,)).measured
    sd = plan.box.face_sd_mm["left"]
    assert plan_coverage(measured).safe_margins_mm(plan.box.face_sd_mm)["left"] == pytest.approx(1 + 3 * sd)


def test_another_margin_moves_only_its_face(plan, tmp_path):
    changed = planned_again(plan, with_margins(plan.protocol, plan.box.name, {"left": 11.0}, tmp_path))
    before, after = (margins_mm(p.box, p.frame, p.protocol) for p in (plan, changed))
    assert after.pop("left") == pytest.approx(before.pop("left") + 6)
    assert after == pytest.approx(before)
    assert changed.protocol.name == "BrainAcPcAdjusted"
    assert changed.protocol.constellation is plan.protocol.constellation


def test_adjusting_twice_keeps_the_first_and_the_name(plan, tmp_path):
    once = with_margins(plan.protocol, plan.box.name, {"left": 11.0}, tmp_path)
    twice = with_margins(once, plan.box.name, {"right": 9.0}, tmp_path)
    faces = twice.boxes[0].faces
    assert (faces["left"].margin_mm, faces["right"].margin_mm) == (11, 9)
    assert twice.name == "BrainAcPcAdjusted"
    assert twice.title.count("adjusted") == 1


def test_a_drawn_box_becomes_a_rule_that_gives_it_again(plan, tmp_path):
    turn = Rotation.from_euler("XYZ", (4, -3, 6), degrees=True).as_matrix()
    drawn = replace(
        plan.box, center_mm=plan.box.center_mm + [3, -4, 5], axes=turn @ plan.box.axes, size_mm=plan.box.size_mm + 7.3
    )
    again = planned_again(plan, with_box(plan.protocol, plan, drawn, tmp_path)).box
    assert again.center_mm == pytest.approx(drawn.center_mm, abs=1e-4)
    assert again.size_mm == pytest.approx(drawn.size_mm, abs=1e-4)
    assert again.axes == pytest.approx(drawn.axes, abs=1e-6)


def test_a_protocol_whose_file_is_gone_cannot_be_adjusted(plan, tmp_path):
    gone = replace(plan.protocol, source=tmp_path / "gone.json")
    with pytest.raises(ProtocolError, match="Put the protocol file back"):
        with_margins(gone, plan.box.name, {"left": 1.0}, tmp_path)


def test_a_margin_that_just_covers_has_nothing_to_spare_and_no_less():
    from AutoVolumeCalibrationLib.core.planning.margins import coverage_text

    assert coverage_text(5.0, 5.0 + 1e-6, True) == "covered, 0.0 mm to spare (95 %)"
