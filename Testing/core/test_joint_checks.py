"""Findings about limbs: the side, and how far a joint is bent."""

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.joint import LEFT, RIGHT
from AutoVolumeCalibrationLib.core.anatomy.protocol import box_rule
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate, plan_from_landmarks
from fake_models import BrightestPlace, blank_stacks, fake_model
from joint_landmarks import joint_landmarks, joint_points
from posed_landmarks import landmarks_at


@pytest.fixture(scope="module")
def knee():
    return load_protocol("KneeSagittal")


@pytest.fixture(scope="module")
def stacks():
    return blank_stacks([-15.0, 0.0, 15.0])


def planned(stacks, protocol, marks, box=None):
    return plan_from_landmarks(stacks, protocol, (), predicted=marks, box=box)


def levels(plan):
    return {check.name: check.level for check in plan.checks}


def test_a_usual_knee_is_ready_for_review(stacks, knee):
    plan = planned(stacks, knee, joint_landmarks(knee, RIGHT, 8.0))
    assert plan.level == OK and plan.frame.side == RIGHT


@pytest.mark.parametrize(("angle_deg", "level"), [(20.0, None), (31.0, WARNING), (55.0, ERROR)])
def test_a_joint_that_is_bent_far_is_named(stacks, knee, angle_deg, level):
    plan = planned(stacks, knee, joint_landmarks(knee, LEFT, angle_deg))
    assert levels(plan).get("joint") == level


def test_a_protocol_for_the_other_side_is_an_error(stacks, knee):
    right = replace(knee, side=RIGHT)
    assert levels(planned(stacks, right, joint_landmarks(knee, LEFT, 5.0)))["side"] == ERROR
    assert "side" not in levels(planned(stacks, right, joint_landmarks(knee, RIGHT, 5.0)))


def test_a_side_that_is_not_known_is_a_warning_only_where_the_box_depends_on_it(stacks, knee):
    middle = joint_points(knee, RIGHT, 0.0)
    symmetric = (middle + (middle * [-1, 1, 1])[knee.constellation.mirror_indices]) / 2
    marks = landmarks_at(knee, symmetric)
    assert levels(planned(stacks, knee, marks, "SagittalACL"))["side"] == WARNING
    assert "side" not in levels(planned(stacks, knee, marks, "Sagittal"))


def test_the_margins_are_those_of_the_mirrored_faces(stacks, knee):
    """A box that reaches 25 mm beyond the epicondyle on the outer side of a right knee, and 5 mm on the inner one."""
    rule = box_rule(knee, "SagittalACL")
    outer = replace(rule.faces["right"], margin_mm=25.0, cover=False)
    inner = replace(rule.faces["left"], cover=False)
    lateral = replace(rule, faces={**rule.faces, "right": outer, "left": inner}, round_up_to_slices=False)
    protocol = replace(knee, boxes=(lateral,))
    from AutoVolumeCalibrationLib.core.planning.margins import margins_mm

    for side, outside, inside in ((RIGHT, "right", "left"), (LEFT, "left", "right")):
        plan = planned(stacks, protocol, joint_landmarks(protocol, side))
        margins = margins_mm(plan.box, plan.frame, protocol)
        assert margins[outside] == pytest.approx(25) and margins[inside] == pytest.approx(5)


def test_a_model_of_another_anatomy_is_refused_by_name(stacks, knee):
    model = fake_model(BrightestPlace())
    with pytest.raises(ModelError, match="finds none of the landmarks of protocol KneeSagittal"):
        calibrate(stacks, knee, model)


def test_the_saved_plan_states_side_and_angle(tmp_path, stacks, knee):
    import json

    plan = planned(stacks, knee, joint_landmarks(knee, LEFT, 9.0))
    plan.save(tmp_path)
    frame = json.loads((tmp_path / "calibration.json").read_text(encoding="utf-8"))["frame"]
    assert frame["side"] == LEFT and frame["side_probability"] > 0.99
    assert frame["angles_deg"]["flexion"]["value"] == pytest.approx(9, abs=0.5)
    assert 0 < frame["angles_deg"]["flexion"]["sd"] < 4
    assert np.isfinite(plan.frame.response).all()
