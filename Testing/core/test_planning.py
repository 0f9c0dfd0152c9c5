from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES, FaceRule, box_rule, line_axes, tilted_axes
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import list_protocols, load_protocol
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, face_center_mm
from AutoVolumeCalibrationLib.core.planning.box import TRUSTED_SD_MM, plan_box
from AutoVolumeCalibrationLib.core.planning.face_uncertainty import SIX_FACES, coverage_of
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from AutoVolumeCalibrationLib.core.planning.margins import faces_at_risk, margins_mm
from AutoVolumeCalibrationLib.core.planning.protocol_editing import save_by_example
from posed_landmarks import (
    known_exactly,
    landmarks_at,
    moved,
    named,
    random_placement,
    random_shape,
    replaced,
    with_errors,
)

ALL_BOXES = [(protocol.name, rule.name) for protocol in list_protocols() for rule in protocol.boxes]


@pytest.fixture(scope="module")
def protocol():
    return load_protocol("BrainAcPc")


def planned(protocol, marks, rule=None):
    frame = fit_frame(marks, protocol)
    return frame, plan_box(frame, protocol, rule or protocol.boxes[0])


def outward(box, face):
    number = FACES.index(face)
    return box.axes[number // 2] * (1 if number % 2 else -1)


def overhang(frame, rule, box, face):
    """How far the face lies beyond the outermost of its landmarks, less its margin."""
    reach = max(frame.expected_mm[name] @ outward(box, face) for name in rule.faces[face].landmarks)
    return face_center_mm(box, face) @ outward(box, face) - reach - rule.faces[face].margin_mm


@pytest.mark.parametrize(("name", "box_name"), ALL_BOXES)
def test_each_box_holds_its_anatomy_with_exactly_its_margins(name, box_name):
    protocol = load_protocol(name)
    rule = box_rule(protocol, box_name)
    frame, box = planned(protocol, landmarks_at(protocol, placement=random_placement(3)), rule)
    slab = BOX_AXES.index(rule.slice_axis)
    for number, face in enumerate(FACES):
        if rule.faces[face].anchor:
            continue  # a fixed length, see test_knee_protocols
        extra = overhang(frame, rule, box, face)
        if rule.round_up_to_slices and number // 2 == slab:
            assert -1e-6 < extra <= (rule.slice_thickness_mm + rule.gap_mm) / 2 + 1e-6
        else:
            assert extra == pytest.approx(0, abs=1e-9)
    assert (box.size_mm > 20).all() and (box.size_mm < 260).all()


@pytest.mark.parametrize(("name", "box_name"), ALL_BOXES)
def test_a_slab_that_is_rounded_holds_whole_slices_and_grows_on_both_sides_alike(name, box_name):
    protocol = load_protocol(name)
    rule = replace(box_rule(protocol, box_name), round_up_to_slices=True)
    frame, box = planned(protocol, landmarks_at(protocol), rule)
    plain = plan_box(frame, protocol, replace(rule, round_up_to_slices=False))
    slab = BOX_AXES.index(rule.slice_axis)
    count = (box.size_mm[slab] + rule.gap_mm) / (rule.slice_thickness_mm + rule.gap_mm)
    assert count == pytest.approx(round(count))
    assert 0 <= box.size_mm[slab] - plain.size_mm[slab] < rule.slice_thickness_mm + rule.gap_mm
    assert box.center_mm == pytest.approx(plain.center_mm)
    others = np.arange(3) != slab
    assert box.size_mm[others] == pytest.approx(plain.size_mm[others])


@pytest.mark.parametrize(("name", "box_name"), ALL_BOXES)
@pytest.mark.parametrize("seed", range(2))
def test_the_head_turns_and_the_box_follows(name, box_name, seed):
    protocol = load_protocol(name)
    rule, motion = box_rule(protocol, box_name), random_placement(seed)
    rng = np.random.default_rng(seed)
    marks = with_errors(landmarks_at(protocol, random_shape(protocol, rng), sd_mm=1.5), rng)
    _, here = planned(protocol, marks, rule)
    _, there = planned(protocol, [moved(m, motion) for m in marks], rule)
    assert there.axes == pytest.approx(here.axes @ motion.turn.T, abs=1e-6)
    assert there.center_mm == pytest.approx(motion(here.center_mm), abs=1e-6)
    assert there.size_mm == pytest.approx(here.size_mm, abs=1e-6)
    assert there.face_sd_mm == pytest.approx(here.face_sd_mm, abs=1e-6)


def test_the_whole_brain_box_on_the_typical_head(protocol):
    """By hand: the outermost reference points plus 5 mm on every side, AC-PC axes."""
    _, box = planned(protocol, landmarks_at(protocol))
    points = dict(zip(protocol.constellation.names, protocol.constellation.reference_mm, strict=True))
    width = points["LATERAL_R"][0] - points["LATERAL_L"][0] + 10
    length = points["FRONTAL_L"][1] - points["OCCIPITAL_L"][1] + 10
    height = points["VERTEX"][2] - points["CEREBELLUM_L"][2] + 10
    assert box.axes == pytest.approx(np.eye(3), abs=0.05)
    assert box.size_mm[:2] == pytest.approx([width, length], abs=1.0)
    brain = [points[name] for name in points if not name.startswith("EYE")]
    assert box.contains(np.array(brain)).all()
    assert height - 1.0 < box.size_mm[2] < height + 3.0 and box.size_mm[2] % 3 == pytest.approx(0, abs=1e-6)


def test_a_line_and_a_tilt_turn_the_box_in_this_order(protocol):
    rule = replace(protocol.boxes[0], line=(("SPLE",), ("GENU",)), tilt_deg=(10.0, 5.0, -7.0))
    frame, box = planned(protocol, landmarks_at(protocol, placement=random_placement(4)), rule)
    on_line = line_axes(frame.axes, rule.line, frame.expected_mm)
    assert box.axes == pytest.approx(tilted_axes(on_line, rule.tilt_deg))
    line = frame.expected_mm["GENU"] - frame.expected_mm["SPLE"]
    assert on_line[2] @ line == pytest.approx(0, abs=1e-9)


def test_a_larger_margin_moves_its_face_alone(protocol):
    marks, rule = landmarks_at(protocol), replace(protocol.boxes[0], round_up_to_slices=False)
    wider = replace(rule, faces={**rule.faces, "anterior": FaceRule(rule.faces["anterior"].landmarks, 15.0)})
    (_, before), (_, after) = planned(protocol, marks, rule), planned(protocol, marks, wider)
    for face in FACES:
        moved_mm = (face_center_mm(after, face) - face_center_mm(before, face)) @ outward(before, face)
        assert moved_mm == pytest.approx(10 if face == "anterior" else 0, abs=1e-9)


def test_the_outermost_of_several_landmarks_decides(protocol):
    marks, rule = landmarks_at(protocol), protocol.boxes[0]
    frame, box = planned(protocol, marks, rule)
    lower = frame.expected_mm["CEREBELLUM_R"] - [0, 0, 8.0]
    frame, dropped = planned(protocol, replaced(marks, named(marks, "CEREBELLUM_R").corrected(lower)), rule)
    gain = (face_center_mm(box, "inferior") - face_center_mm(dropped, "inferior")) @ box.axes[2]
    assert 4 < gain < 11


def test_a_missing_extreme_still_gives_a_face_less_certain(protocol):
    marks = landmarks_at(protocol)
    _, full = planned(protocol, marks)
    _, partial = planned(protocol, [m for m in marks if m.name != "VERTEX"])
    assert partial.face_sd_mm["superior"] > 1.2 * full.face_sd_mm["superior"]
    assert partial.face_sd_mm["left"] == pytest.approx(full.face_sd_mm["left"], rel=0.1)


@pytest.mark.parametrize("name", ["BrainAcPc", "BrainHippocampus"])
def test_faces_are_as_uncertain_as_stated(name):
    """Monte Carlo: the face of the true head's box against that of the box from uncertain landmarks."""
    protocol = load_protocol(name)
    rule = replace(protocol.boxes[0], round_up_to_slices=False)
    # One landmark per face: which of several is outermost is not part of the linear error.
    rule = replace(rule, faces={f: FaceRule(r.landmarks[:1], r.margin_mm) for f, r in rule.faces.items()})
    rng = np.random.default_rng(11)
    normalised = {face: [] for face in FACES}
    for number in range(100):
        head = random_shape(protocol, rng)
        placement = random_placement(number, angle_deg=15)
        _, box = planned(protocol, with_errors(landmarks_at(protocol, head, placement, sd_mm=2.5), rng), rule)
        _, truth = planned(protocol, known_exactly(landmarks_at(protocol, head, placement)), rule)
        for face in FACES:
            off = (face_center_mm(box, face) - face_center_mm(truth, face)) @ outward(box, face)
            normalised[face].append(off / box.face_sd_mm[face])
    pooled = np.array([normalised[face] for face in FACES])
    assert pooled.std() == pytest.approx(1, abs=0.15)
    assert (np.abs(pooled.std(axis=1) - 1) < 0.3).all()


def test_an_exactly_known_head_has_certain_faces(protocol):
    exact = [m.corrected(m.position_mm) for m in landmarks_at(protocol)]
    _, box = planned(protocol, exact)
    assert set(box.face_sd_mm) == set(FACES) and max(box.face_sd_mm.values()) < 0.25


def test_the_middle_of_a_face_lies_on_the_box(protocol):
    _, box = planned(protocol, landmarks_at(protocol, placement=random_placement(5)))
    corners = box.corners_mm()
    for number, face in enumerate(FACES):
        side = corners[[i for i in range(8) if (i >> number // 2 & 1) == number % 2]]
        assert face_center_mm(box, face) == pytest.approx(side.mean(axis=0))


@pytest.mark.parametrize("seed", range(3))
def test_a_box_saved_by_example_comes_back_on_another_head_in_the_same_place_of_its_frame(protocol, tmp_path, seed):
    rng = np.random.default_rng(seed)
    frame, box = planned(protocol, landmarks_at(protocol, placement=random_placement(seed)))
    turn = Rotation.from_euler("XYZ", rng.uniform(-20, 20, 3), degrees=True).as_matrix()
    adjusted = replace(
        box,
        axes=turn @ box.axes,
        center_mm=box.center_mm + rng.uniform(-10, 10, 3),
        size_mm=np.array([151.0, 172.0, 133.0]),
    )
    path = Path(tmp_path) / "Mine.json"
    path.write_text(save_by_example(protocol, frame, frame.expected_mm, adjusted, "Mine", "Mine"), encoding="utf-8")
    mine, other = load_protocol(path), random_placement(seed + 50)
    frame_there, there = planned(mine, landmarks_at(mine, placement=other))
    assert there.size_mm == pytest.approx(adjusted.size_mm, abs=1e-3)
    assert frame_there.axes @ there.axes.T == pytest.approx(frame.axes @ adjusted.axes.T, abs=1e-5)
    here_local = frame.axes @ (adjusted.center_mm - frame.origin_mm)
    assert frame_there.axes @ (there.center_mm - frame_there.origin_mm) == pytest.approx(here_local, abs=1e-3)


def exact_frame(protocol, head):
    """The frame of points that are known exactly."""
    exact = [m.corrected(m.position_mm) for m in landmarks_at(protocol, head)]
    return fit_frame([replace(m, covariance_mm2=np.eye(3) * 1e-8) for m in exact], protocol)


@pytest.mark.parametrize("name", ["BrainAcPc", "BrainSubcallosal", "BrainHippocampus"])
def test_a_faces_uncertainty_follows_how_it_moves_with_the_points(name):
    """With a covariance of one direction only, a face's deviation is how far it moves when the points go there."""
    protocol = load_protocol(name)
    rule = replace(protocol.boxes[0], round_up_to_slices=False)
    rule = replace(rule, faces={f: FaceRule(r.landmarks[:1], r.margin_mm) for f, r in rule.faces.items()})
    head = protocol.constellation.reference_mm
    frame = exact_frame(protocol, head)
    still = plan_box(frame, protocol, rule)
    rng = np.random.default_rng(2)
    for _ in range(4):
        step = rng.normal(0, 0.05, head.shape)
        before, after = (plan_box(exact_frame(protocol, head + sign * step), protocol, rule) for sign in (-1, 1))
        one_way = replace(frame, expected_covariance_mm2=np.outer(step, step))
        stated = plan_box(one_way, protocol, rule).face_sd_mm
        for face in FACES:
            middle = face_center_mm(still, face)
            # Where the faces' planes cross the line through the middle of the unmoved face, along its normal.
            reach = [
                (face_center_mm(box, face) - middle) @ outward(box, face) / (outward(box, face) @ outward(still, face))
                for box in (before, after)
            ]
            assert stated[face] == pytest.approx(abs(reach[1] - reach[0]) / 2, abs=2e-3)


@pytest.mark.parametrize(("name", "box_name"), ALL_BOXES)
@pytest.mark.parametrize("sd_mm", [0.5, 2.0, 5.0])
def test_shipped_margins_meet_the_stated_coverage(name, box_name, sd_mm):
    protocol = load_protocol(name)
    rule = box_rule(protocol, box_name)
    marks = [replace(mark, covariance_mm2=sd_mm**2 * np.eye(3)) for mark in landmarks_at(protocol)]
    frame, coverage = fit_frame(marks, protocol), coverage_of(rule, ())
    box = plan_box(frame, protocol, rule, coverage)
    assert max(box.face_sd_mm.values()) < TRUSTED_SD_MM
    assert not faces_at_risk(box, frame, protocol, coverage)
    needed = coverage.safe_margins_mm(box.face_sd_mm)
    for face, margin in margins_mm(box, frame, protocol).items():
        assert margin >= max(rule.faces[face].margin_mm, needed[face]) - 0.05


def test_margins_stop_growing_where_a_face_is_not_trusted(protocol):
    marks = [replace(mark, covariance_mm2=40.0**2 * np.eye(3)) for mark in landmarks_at(protocol)]
    rule, coverage = protocol.boxes[0], coverage_of(protocol.boxes[0], ())
    frame = fit_frame(marks, protocol)
    box = plan_box(frame, protocol, rule, coverage)
    assert min(box.face_sd_mm.values()) > TRUSTED_SD_MM
    most = SIX_FACES * TRUSTED_SD_MM + rule.slice_thickness_mm
    assert max(margins_mm(box, frame, protocol).values()) <= most


def test_a_face_that_does_not_cover_keeps_its_margin(protocol):
    marks = [replace(mark, covariance_mm2=49.0 * np.eye(3)) for mark in landmarks_at(protocol)]
    rule = protocol.boxes[0]
    kept = replace(rule, faces={**rule.faces, "left": replace(rule.faces["left"], cover=False)})
    frame = fit_frame(marks, protocol)
    margins = margins_mm(plan_box(frame, protocol, kept, coverage_of(kept, ())), frame, protocol)
    assert margins["left"] == pytest.approx(5)
    assert margins["right"] > 6
