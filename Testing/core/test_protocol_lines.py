"""Protocols whose axes run along lines: what a file may say, and how it is refused."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.axis_lines import AxisLine, along_lines, response_of_lines
from AutoVolumeCalibrationLib.core.anatomy.protocol import line_axes
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import ProtocolError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.geometry.coordinates import rotation_angles_deg
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from joint_landmarks import joint_landmarks
from posed_landmarks import landmarks_at, random_placement

RNG = np.random.default_rng(4)
POINTS = {name: RNG.normal(0, 30, 3) for name in "ABCD"} | {"B": np.array([40.0, 3, -5]), "A": np.zeros(3)}
AB, CD = (("A",), ("B",)), (("C",), ("D",))


def axes_near(seed):
    return Rotation.from_rotvec(np.random.default_rng(seed).normal(0, 0.3, 3)).as_matrix()


@pytest.mark.parametrize("axis", ["right", "anterior", "superior"])
def test_an_axis_runs_along_its_line_by_the_shortest_way(axis):
    axes, index = np.eye(3), ["right", "anterior", "superior"].index(axis)
    turned = along_lines(axes, [AxisLine(axis, AB)], POINTS)
    direction = POINTS["B"] / np.linalg.norm(POINTS["B"])
    assert turned[index] == pytest.approx(direction)
    assert turned @ turned.T == pytest.approx(np.eye(3)) and np.linalg.det(turned) == pytest.approx(1)
    angle = np.linalg.norm(rotation_angles_deg(axes, turned))
    assert angle == pytest.approx(np.rad2deg(np.arccos(axes[index] @ direction)))


def test_the_second_line_is_followed_as_far_as_the_first_allows():
    turned = along_lines(axes_near(1), [AxisLine("right", AB), AxisLine("superior", CD)], POINTS)
    assert turned[0] == pytest.approx(POINTS["B"] / np.linalg.norm(POINTS["B"]))
    second = turned @ (POINTS["D"] - POINTS["C"])
    assert second[1] == pytest.approx(0, abs=1e-9) and second[2] > 0


@pytest.mark.parametrize("seed", range(3))
def test_the_line_of_earlier_protocols_is_that_of_anterior_about_right(seed):
    old = line_axes(axes_near(seed), CD, POINTS)
    assert along_lines(axes_near(seed), [AxisLine("anterior", CD, "right")], POINTS) == pytest.approx(old)


def test_axes_along_their_lines_stay_and_a_line_without_direction_is_refused():
    lines = [AxisLine("right", AB), AxisLine("superior", CD)]
    once = along_lines(axes_near(2), lines, POINTS)
    assert along_lines(once, lines, POINTS) == pytest.approx(once)
    with pytest.raises(ProtocolError, match="from A to A has no direction"):
        along_lines(np.eye(3), [AxisLine("right", (("A",), ("A",)))], POINTS)
    with pytest.raises(ProtocolError, match="no direction across the right axis"):
        along_lines(np.eye(3), [AxisLine("superior", AB, "right")], POINTS | {"B": np.array([9.0, 0, 0])})


@pytest.mark.parametrize("lines", [[AxisLine("right", AB)], [AxisLine("right", AB), AxisLine("superior", CD)]])
def test_the_response_of_lines_is_the_derivative(lines):
    rng, axes = np.random.default_rng(7), axes_near(3)
    follows = rng.normal(0, 0.01, (3, len(POINTS), 3))
    response = response_of_lines(axes, lines, POINTS, follows)
    steps = rng.normal(0, 1e-3, (len(POINTS), 3))
    base = axes @ Rotation.from_rotvec(np.einsum("ink,nk->i", follows, steps)).as_matrix().T
    moved = {name: place + step for (name, place), step in zip(POINTS.items(), steps, strict=True)}
    before, after = along_lines(axes, lines, POINTS), along_lines(base, lines, moved)
    turn = np.deg2rad(rotation_angles_deg(before, after)) @ before
    assert turn == pytest.approx(np.einsum("ink,nk->i", response, steps), abs=2e-7)


def knee(**changes):
    data = json.loads(resource_path("Protocols", "KneeSagittal.json").read_text(encoding="utf-8"))
    return {**data, **changes}


def written(folder, data):
    path = folder / "Mine.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def box(**changes):
    return {"boxes": [{**knee()["boxes"][0], **changes}]}


def frame(**changes):
    return {"frame": {**knee()["frame"], **changes}}


RIGHT, UP = knee()["boxes"][0]["lines"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (box(lines=[{**RIGHT, "from": "COND_POST_R", "to": "COND_POST_L"}]), "runs 180 deg off the right axis"),
        (box(lines=[{**RIGHT, "axis": "superior"}]), "deg off the superior axis"),
        (box(lines=[RIGHT, RIGHT]), "both lines are for the right axis"),
        (box(lines=[{**RIGHT, "about": "right"}]), "is the axis that runs along the line"),
        (box(lines=[{**RIGHT, "to": "NOWHERE"}]), "NOWHERE not defined"),
        (box(line={"from": "TIBIA_SHAFT", "to": "EMINENCE"}), "states both line and lines"),
        (box(lines=[]), "lines"),
        (frame(lines=[{**RIGHT, "axis": "sideways"}]), "sideways"),
        (frame(lines=[{**UP, "to": "PATELLA_TOP"}]), "Express reference_mm|pitched by"),
        (frame(line={"from": "TIBIA_SHAFT", "to": "EMINENCE"}), "states both line and lines"),
        (frame(follows="fibula"), "fibula not a part of this anatomy, its parts are femur, tibia, patella"),
        (frame(follows={"femur": 0}), "add up to nothing"),
        ({"frame": {"origin": "EMINENCE"}}, "frame"),
        ({"side": "middle"}, "side"),
        (box(faces={**knee()["boxes"][0]["faces"], "left": {"landmark": "EPICOND_L"}}), "faces.left"),
        (
            box(faces={**knee()["boxes"][0]["faces"], "left": {"landmark": "EPICOND_L", "anchor": "EPICOND_L"}}),
            "length_mm",
        ),
        (
            box(
                faces={
                    **knee()["boxes"][0]["faces"],
                    "left": {"landmark": "EPICOND_L", "anchor": "NOWHERE", "length_mm": 9},
                }
            ),
            "NOWHERE not defined",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path, changes, message):
    with pytest.raises(ProtocolError, match=message) as caught:
        load_protocol(written(tmp_path, knee(**changes)))
    assert "Mine.json" in str(caught.value) and "\n" not in str(caught.value)


def test_a_brain_has_no_sides_and_no_parts(tmp_path):
    data = json.loads(resource_path("Protocols", "BrainAcPc.json").read_text(encoding="utf-8"))
    with pytest.raises(ProtocolError, match="side: this anatomy has no sides"):
        load_protocol(written(tmp_path, {**data, "side": "right"}))
    with pytest.raises(ProtocolError, match="brain not a part of this anatomy, it is one rigid body"):
        load_protocol(written(tmp_path, {**data, "frame": {**data["frame"], "follows": "brain"}}))


def test_shares_of_parts_add_up_to_one(tmp_path):
    protocol = load_protocol(written(tmp_path, knee(**frame(follows={"femur": 1, "tibia": 3}))))
    assert protocol.frame.follows == {"femur": 0.25, "tibia": 0.75}


def test_a_protocol_may_bring_a_joint_of_its_own(tmp_path):
    anatomy = json.loads(resource_path("Anatomies", "knee.json").read_text(encoding="utf-8"))
    joint = {key: anatomy[key] for key in ("landmarks", "modes_mm", "parts", "hinges", "articulated")}
    protocol = load_protocol(written(tmp_path, {**knee(), **joint}))
    assert protocol.constellation.joint.base == "femur"
    assert fit_frame(joint_landmarks(protocol, "left", 9.0), protocol).angles["flexion"].deg == pytest.approx(
        9, abs=0.5
    )


def test_a_rigid_anatomy_may_have_its_frame_along_any_axis(tmp_path):
    """The same frame of the brain, stated along the line from left to right and that from PC to AC."""
    data = json.loads(resource_path("Protocols", "BrainAcPc.json").read_text(encoding="utf-8"))
    lines = [
        {"axis": "right", "from": "LATERAL_L", "to": "LATERAL_R"},
        {"axis": "anterior", "from": "PC", "to": "AC"},
    ]
    stated = load_protocol(written(tmp_path, {**data, "frame": {"origin": "AC", "lines": lines}}))
    plain = load_protocol("BrainAcPc")
    marks = landmarks_at(plain, placement=random_placement(3))
    here, there = fit_frame(marks, plain), fit_frame(marks, stated)
    assert there.axes == pytest.approx(here.axes) and there.covariance == pytest.approx(here.covariance)
    first, second = (plan_box(f, p, p.boxes[0]) for f, p in ((here, plain), (there, stated)))
    assert second.size_mm == pytest.approx(first.size_mm)
    assert list(second.face_sd_mm.values()) == pytest.approx(list(first.face_sd_mm.values()), rel=1e-6)
