"""The protocols of the knee: boxes that hold the joint, and angles that follow it."""

from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.joint import SIDES
from AutoVolumeCalibrationLib.core.anatomy.protocol import box_rule
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import list_protocols, load_protocol
from AutoVolumeCalibrationLib.core.geometry.coordinates import rotation_angles_deg
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, face_center_mm, outward_axis
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.planning.protocol_editing import save_by_example
from joint_landmarks import joint_landmarks, joint_points
from posed_landmarks import random_placement, with_errors

KNEES = [protocol for protocol in list_protocols() if protocol.anatomy == "knee"]
BOXES = [(protocol.name, rule.name) for protocol in KNEES for rule in protocol.boxes]

#: Axes of each box and the line that they follow; the second as far as the first allows.
LINES = {
    "Sagittal": [("right", "COND_POST_L", "COND_POST_R"), ("superior", "TIBIA_SHAFT", "FEMUR_SHAFT_HIGH")],
    "Coronal": [("right", "COND_POST_L", "COND_POST_R"), ("superior", "TIBIA_SHAFT", "FEMUR_SHAFT_HIGH")],
    "Axial": [("right", "PLATEAU_L", "PLATEAU_R"), ("anterior", "PLATEAU_POST_R", "PLATEAU_R")],
}
AXES = {"right": 0, "anterior": 1, "superior": 2}


def planned(name, box_name, marks):
    protocol = load_protocol(name)
    frame = fit_frame(marks(protocol), protocol)
    return protocol, frame, plan_box(frame, protocol, box_rule(protocol, box_name))


def random_knee(seed, sd_mm=1.0):
    """Landmarks of an individual with a random side, angle and pose; and where they truly are."""

    def marks(protocol):
        rng = np.random.default_rng(seed)
        side, angle = SIDES[seed % 2], float(np.clip(rng.normal(2, 7.5), -10, 18))
        placement = random_placement(seed, float(np.exp(rng.normal(0, 0.08))))
        return with_errors(joint_landmarks(protocol, side, angle, placement, sd_mm, rng), rng)

    return marks


def test_there_is_a_protocol_for_each_plane_of_the_knee():
    assert [protocol.name for protocol in KNEES] == ["KneeAxial", "KneeCoronal", "KneeSagittal"]
    assert [protocol.boxes[0].slice_axis for protocol in KNEES] == ["superior", "anterior", "right"]


@pytest.mark.parametrize(("name", "box_name"), BOXES)
@pytest.mark.parametrize("seed", range(6))
def test_the_joint_lies_inside_the_box(name, box_name, seed):
    rng = np.random.default_rng(seed + 100)
    side, angle = SIDES[seed % 2], float(rng.uniform(-10, 18))
    placement = random_placement(seed, 1.0 + 0.08 * rng.normal())
    protocol = load_protocol(name)
    truth = placement(joint_points(protocol, side, angle, np.random.default_rng(seed)))
    marks = joint_landmarks(protocol, side, angle, placement, 1.5, np.random.default_rng(seed))
    frame = fit_frame(with_errors(marks, rng), protocol)
    rule = box_rule(protocol, box_name)
    covered = plan_box(frame, protocol, rule)
    inside = covered.size_mm / 2 - np.abs((truth - covered.center_mm) @ covered.axes.T)
    # Parts of the shaft may leave an axial slab; the joint itself may not leave any.
    joint = [not name.endswith(("SHAFT", "SHAFT_HIGH", "PATELLA_TOP")) for name in protocol.constellation.names]
    assert inside[joint].min() > 0


@pytest.mark.parametrize(("name", "box_name"), [(n, b) for n, b in BOXES if b in LINES])
@pytest.mark.parametrize("seed", range(3))
def test_the_axes_run_along_the_lines_of_the_definition(name, box_name, seed):
    _, frame, box = planned(name, box_name, random_knee(seed))
    for number, (axis, start, end) in enumerate(LINES[box_name]):
        ends = [frame.expected_mm[point] for point in (start, end)]
        if axis == "anterior":  # of both sides of the plateau
            ends = [
                (frame.expected_mm[point] + frame.expected_mm[point.replace("_R", "_L")]) / 2 for point in (start, end)
            ]
        direction = box.axes @ (ends[1] - ends[0])
        across = np.delete(direction, AXES[axis])
        if number == 0:
            assert np.abs(across).max() < 1e-6 and direction[AXES[axis]] > 0
        else:
            third = next(i for i in range(3) if i not in (AXES[LINES[box_name][0][0]], AXES[axis]))
            assert abs(direction[third]) < 1e-6 and direction[AXES[axis]] > 0


@pytest.mark.parametrize(("name", "box_name"), BOXES)
def test_a_turned_knee_turns_the_box(name, box_name):
    plain = planned(name, box_name, lambda p: joint_landmarks(p, "left", 8.0))[2]
    placement = random_placement(9)
    turned = planned(name, box_name, lambda p: joint_landmarks(p, "left", 8.0, placement))[2]
    assert turned.axes == pytest.approx(plain.axes @ placement.turn.T, abs=1e-3)
    assert turned.center_mm == pytest.approx(placement(plain.center_mm), abs=0.2)
    assert turned.size_mm == pytest.approx(plain.size_mm, abs=3.01)


@pytest.mark.parametrize(("name", "box_name"), BOXES)
def test_a_left_knee_has_the_mirror_image_of_the_box_of_a_right_one(name, box_name):
    right, left = (planned(name, box_name, lambda p, s=s: joint_landmarks(p, s, 8.0))[2] for s in ("right", "left"))
    mirror = np.diag([-1.0, 1, 1])
    assert left.axes == pytest.approx(mirror @ right.axes @ mirror, abs=1e-6)
    assert left.center_mm == pytest.approx(mirror @ right.center_mm, abs=1e-6)
    assert left.size_mm == pytest.approx(right.size_mm)


@pytest.mark.parametrize("side", SIDES)
def test_the_box_along_the_ligament_is_turned_forwards_and_inwards_on_either_side(side):
    marks = {}
    for box_name in ("Sagittal", "SagittalACL"):
        marks[box_name] = planned("KneeSagittal", box_name, lambda p: joint_landmarks(p, side))[2]
    turn = rotation_angles_deg(marks["Sagittal"].axes, marks["SagittalACL"].axes)
    assert turn == pytest.approx([0, 0, 12 if side == "right" else -12], abs=1e-6)
    inwards = -1 if side == "right" else 1
    assert marks["SagittalACL"].axes[1][0] * inwards > 0.1


@pytest.mark.parametrize(("name", "box_name"), BOXES)
def test_the_field_of_view_and_the_slices_are_the_usual_ones(name, box_name):
    protocol, _, box = planned(name, box_name, random_knee(1))
    rule = box_rule(protocol, box_name)
    across = ["right", "anterior", "superior"].index(rule.slice_axis)
    assert np.delete(box.size_mm, across) == pytest.approx(160)
    assert box.size_mm[across] / 3 == pytest.approx(round(box.size_mm[across] / 3))
    assert 24 <= box.size_mm[across] / 3 <= 42


def test_a_face_at_a_fixed_length_does_not_move_with_the_size_of_the_anatomy_or_the_uncertainty():
    protocol = load_protocol("KneeSagittal")
    rule = protocol.boxes[0]
    for scale, sd_mm in ((0.9, 1.0), (1.1, 4.0)):
        placement = random_placement(3, scale)
        frame = fit_frame(joint_landmarks(protocol, "right", 5.0, placement, sd_mm), protocol)
        box = plan_box(frame, protocol, rule)
        for face in ("inferior", "superior"):
            reach = (face_center_mm(box, face) - frame.expected_mm["EMINENCE"]) @ outward_axis(box.axes, face)
            assert reach == pytest.approx(80)


@pytest.mark.parametrize(("name", "box_name"), BOXES)
@pytest.mark.parametrize("side", SIDES)
def test_a_box_saved_by_example_comes_again_and_keeps_its_lines_sides_and_lengths(tmp_path, name, box_name, side):
    protocol, frame, box = planned(name, box_name, lambda p: joint_landmarks(p, side, 6.0))
    moved = replace(box, center_mm=box.center_mm + [2.0, -3.0, 1.0], size_mm=box.size_mm + [0, 6.0, 0])
    path = tmp_path / "Mine.json"
    path.write_text(save_by_example(protocol, frame, frame.expected_mm, moved, "Mine", "mine"), encoding="utf-8")
    mine = load_protocol(path)
    again = plan_box(fit_frame(joint_landmarks(mine, side, 6.0), mine), mine, mine.boxes[0])
    assert again.axes == pytest.approx(box.axes, abs=1e-6)
    rule = box_rule(protocol, box_name)
    if rule.slice_axis != "anterior":
        assert again.size_mm == pytest.approx(moved.size_mm, abs=1e-4)
        assert again.center_mm == pytest.approx(moved.center_mm, abs=1e-4)
    assert mine.frame.lines == protocol.frame.lines and mine.frame.follows == protocol.frame.follows
    assert mine.boxes[0].side == (side if rule.side else "")
    assert [bool(mine.boxes[0].faces[f].anchor) for f in FACES] == [bool(rule.faces[f].anchor) for f in FACES]
