"""The box of the baseline at a follow-up: the scouts of both visits brought together."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.exports.dicom.plan_record import plan_record
from AutoVolumeCalibrationLib.core.follow_up.follow_up import between_boxes, box_at_follow_up
from AutoVolumeCalibrationLib.core.follow_up.intensities import in_one_contrast, transfer
from AutoVolumeCalibrationLib.core.follow_up.registration import Registration, moved_stack, register, rigid_about
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.storage.results import calibration_to_dict, saved_from_dict
from AutoVolumeCalibrationLib.core.workflow.checked_plan import with_box
from AutoVolumeCalibrationLib.core.workflow.follow_up_plan import between_frames, follow, landmark_region
from AutoVolumeCalibrationLib.core.workflow.pipeline import refit
from two_visits import FIVE, ONE, inverted, pose_error, visit


def registered(geometry, seed, contrast=None):
    """(error in deg, error in mm, chi-square of the error, correlation)."""
    baseline, first = visit(2 * seed, geometry)
    now, second = visit(2 * seed + 1, geometry, contrast)
    region = landmark_region(baseline.frame, baseline.box)
    found = register(now.stacks, baseline.stacks, between_frames(now.frame, baseline.frame), region)
    true, center = first @ np.linalg.inv(second), found.center_mm
    off = found.to_baseline @ np.linalg.inv(true)
    error = np.concatenate([[off[2, 1], off[0, 2], off[1, 0]], off[:3, :3] @ center + off[:3, 3] - center])
    chi_square = error @ np.linalg.solve(found.covariance, error)
    return *pose_error(found.to_baseline, true, center), chi_square, found.correlation


@pytest.mark.parametrize(("contrast", "most_deg", "most_mm"), [(None, 0.6, 0.1), (inverted, 1.2, 0.3)])
@pytest.mark.parametrize("seed", range(2))
def test_five_slices_find_the_pose(seed, contrast, most_deg, most_mm):
    degrees, millimetres, chi_square, correlation = registered(FIVE, seed, contrast)
    assert degrees < most_deg and millimetres < most_mm
    assert chi_square < 40 and correlation > 0.8


def test_single_slices_find_the_pose_better_than_landmarks():
    errors = [registered(ONE, seed)[:2] for seed in range(3)]
    assert (np.median(errors, axis=0) < [1.0, 0.6]).all()


def test_what_lies_outside_the_region_may_move():
    baseline, first = visit(0)
    now, second = visit(1)
    region = landmark_region(baseline.frame, baseline.box)
    start = first @ np.linalg.inv(second)
    near = replace(region, size_mm=region.size_mm + 40.0)

    def surrounded(stack):
        """What lies well outside replaced by something that is not at the other visit."""
        slices = []
        for s in stack.slices:
            grid = np.stack(np.meshgrid(*map(np.arange, s.pixels.shape), indexing="ij"), axis=-1)
            outside = ~near.contains((s.to_world(grid).reshape(-1, 3)) @ start[:3, :3].T + start[:3, 3])
            pixels = np.where(outside.reshape(s.pixels.shape), np.random.default_rng(5).uniform(0, 200), s.pixels)
            slices.append(replace(s, pixels=pixels.astype(np.float32)))
        return replace(stack, slices=tuple(slices))

    found = register([surrounded(s) for s in now.stacks], baseline.stacks, start, region)
    assert max(pose_error(found.to_baseline, start, region.center_mm)) < 0.5


def test_slices_that_cannot_cross_give_nothing():
    baseline, _ = visit(0)
    sagittal = [s for s in baseline.stacks if s.plane == "sagittal"]
    assert register(sagittal, sagittal, np.eye(4), landmark_region(baseline.frame, baseline.box)) is None


def test_the_transfer_is_the_mean_of_what_is_shown_at_the_same_places():
    rng = np.random.default_rng(3)
    values = rng.uniform(0.0, 1.0, 5000)
    found = transfer(values, 1.0 - values + rng.normal(0.0, 0.05, 5000))
    assert found.wanted == pytest.approx(1.0 - found.given, abs=0.02)
    assert found.explained == pytest.approx(1 - 0.05**2 / (0.05**2 + 1 / 12), abs=0.01)
    assert transfer(values[:100], values[:100]) is None


def folded(pixels):
    """Two tissues in one grey value: from the follow-up back to the baseline nothing can tell them apart."""
    bright = np.percentile(pixels, 99)
    return np.abs(pixels - 0.5 * bright) * 2.0


@pytest.mark.parametrize("folded_visit", ["follow-up", "baseline"])
def test_the_visit_that_tells_more_apart_gets_the_values_of_the_other(folded_visit):
    baseline, first = visit(0, contrast=folded if folded_visit == "baseline" else None)
    now, second = visit(1, contrast=folded if folded_visit == "follow-up" else None)
    there = [moved_stack(stack, first @ np.linalg.inv(second)) for stack in now.stacks]
    alike = in_one_contrast(there, baseline.stacks, landmark_region(baseline.frame, baseline.box))
    now_kept, before_kept = (
        all(a is b for a, b in zip(made, given, strict=True))
        for made, given in zip(alike, (there, baseline.stacks), strict=True)
    )
    assert (now_kept, before_kept) == ((True, False) if folded_visit == "follow-up" else (False, True))


def test_the_box_moves_with_the_anatomy():
    box = visit(0)[0].box
    to_baseline = rigid_about(np.array([0.1, -0.05, 0.2, 5.0, -3.0, 2.0]), np.array([3.0, 4.0, 5.0]))
    found = box_at_follow_up(box, Registration(to_baseline, np.eye(6), box.center_mm, 0.9))
    assert found.center_mm @ to_baseline[:3, :3].T + to_baseline[:3, 3] == pytest.approx(box.center_mm)
    assert found.axes @ to_baseline[:3, :3].T == pytest.approx(box.axes)


def test_between_boxes_is_what_brings_one_onto_the_other():
    box = visit(0)[0].box
    moved = rigid_about(np.concatenate([np.deg2rad([3.0, 0.0, 0.0]) @ box.axes, np.zeros(3)]), box.center_mm)
    other = replace(box, axes=box.axes @ moved[:3, :3].T, center_mm=box.center_mm + 2.0 * box.axes[1])
    rotation_deg, shift_mm = between_boxes(box, other)
    assert rotation_deg == pytest.approx([3.0, 0.0, 0.0], abs=1e-6)
    assert shift_mm == pytest.approx([0.0, 2.0, 0.0], abs=1e-9)


@pytest.fixture(scope="module")
def visits():
    """(baseline whose box the user moved, follow-up by landmarks, their poses)."""
    baseline, first = visit(0)
    box = replace(baseline.box, center_mm=baseline.box.center_mm + 4.0 * baseline.box.axes[2])
    now, second = visit(1)
    return with_box(baseline, box), now, first, second


def test_a_box_that_the_user_moved_comes_back_at_the_next_visit(visits):
    baseline, now, first, second = visits
    plan = follow(now, baseline, "earlier")
    expected = second @ np.linalg.inv(first)
    assert plan.box.center_mm == pytest.approx(expected[:3, :3] @ baseline.box.center_mm + expected[:3, 3], abs=0.5)
    assert plan.prescription.center_mm != now.prescription.center_mm
    assert plan.level == OK and "baseline" in plan.checks[0].message
    assert np.linalg.norm(plan.follow_up.shift_mm) == pytest.approx(4.0, abs=2.5)
    assert plan.risk is None


def test_the_box_stays_when_a_landmark_is_corrected(visits):
    baseline, now, *_ = visits
    plan = follow(now, baseline, "earlier")
    point = plan.landmarks[0]
    placed = replace(point, position_mm=point.position_mm + 6.0, status=CORRECTED)
    again = refit(plan, [placed])
    assert again.box.center_mm == pytest.approx(plan.box.center_mm)
    assert again.follow_up.shift_mm != pytest.approx(plan.follow_up.shift_mm, abs=1e-3)


def test_what_is_said_of_the_border_of_the_anatomy_comes_from_the_landmarks(visits):
    baseline, now, *_ = visits
    plan = follow(now, baseline, "earlier")
    assert plan.box.face_sd_mm == now.box.face_sd_mm


def test_a_box_that_the_user_draws_is_the_baseline_s_no_longer(visits):
    baseline, now, *_ = visits
    plan = follow(now, baseline, "earlier")
    drawn = with_box(plan, replace(plan.box, center_mm=plan.box.center_mm + 30.0))
    assert drawn.follow_up is None
    assert not any("baseline" in check.message for check in drawn.checks)


def test_another_head_does_not_match(visits):
    baseline, now, *_ = visits
    rng = np.random.default_rng(3)

    def noise(image):
        return replace(image, pixels=rng.normal(100, 30, image.pixels.shape).astype(np.float32))

    other = [replace(stack, slices=tuple(map(noise, stack.slices))) for stack in now.stacks]
    plan = follow(replace(now, stacks=tuple(other)), baseline, "earlier")
    assert not plan.follow_up.matched
    assert plan.box.center_mm == pytest.approx(now.box.center_mm)
    assert any(c.name == "baseline" and c.level == ERROR for c in plan.checks)


def test_landmarks_that_disagree_with_the_images_are_a_finding(visits):
    baseline, now, *_ = visits
    off = [replace(m, position_mm=m.position_mm + np.array([0.0, 0.0, 6.0])) for m in now.predicted]
    wrong = refit(replace(now, predicted=tuple(off)), ())
    plan = follow(wrong, baseline, "earlier")
    assert [c.name for c in plan.checks if c.level == WARNING] == ["baseline"]
    assert "disagree" in plan.checks[0].message


def test_the_visits_must_show_the_same_anatomy(visits):
    baseline, now, *_ = visits
    other = replace(baseline, protocol=replace(baseline.protocol, anatomy="knee"))
    with pytest.raises(InputError, match="knee.*brain.*Give the baseline"):
        follow(now, other, "earlier")


def test_a_saved_follow_up_is_read_again(visits):
    baseline, now, *_ = visits
    plan = follow(now, baseline, "earlier")
    content = json.loads(json.dumps(calibration_to_dict(plan)))
    saved = saved_from_dict(content, "plan").follow_up
    assert saved.box.center_mm == pytest.approx(plan.follow_up.box.center_mm)
    assert saved.chi_square == plan.follow_up.chi_square
    assert saved.rotation_deg == pytest.approx(plan.follow_up.rotation_deg)
    assert plan_record(content)["follow_up"]["baseline"] == ""
    assert "follow_up" not in calibration_to_dict(now)
