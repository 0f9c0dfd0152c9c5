from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol, line_axes
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.coordinates import rotation_angles_deg
from AutoVolumeCalibrationLib.core.planning.frame import OUTLIER_WEIGHT, fit_frame, pose_difference, rotation_response
from posed_landmarks import (
    STRAIGHT,
    Placement,
    known_exactly,
    landmarks_at,
    moved,
    named,
    random_placement,
    random_shape,
    replaced,
    with_errors,
    without,
)


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return load_protocol("BrainAcPc")


def noisy(protocol, seed=0, sd_mm=1.5):
    rng = np.random.default_rng(seed)
    return with_errors(landmarks_at(protocol, random_shape(protocol, rng), sd_mm=sd_mm), rng)


def true_frame(protocol, head_mm, placement=STRAIGHT):
    """The frame of landmarks that are known exactly."""
    return fit_frame(known_exactly(landmarks_at(protocol, head_mm, placement)), protocol)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [0.85, 1.0, 1.15])
def test_a_known_pose_is_found(protocol, seed, scale):
    placement = random_placement(seed, scale)
    frame = fit_frame(landmarks_at(protocol, placement=placement), protocol)
    reference = dict(zip(protocol.constellation.names, protocol.constellation.reference_mm, strict=True))
    axes = line_axes(placement.turn.T, protocol.frame.line, {n: placement(p) for n, p in reference.items()})
    # The prior on size draws a little, and turns what is not seen alike from all sides by thousandths of a degree.
    assert np.abs(rotation_angles_deg(axes, frame.axes)).max() < 5e-3
    assert frame.origin_mm == pytest.approx(placement(reference["AC"]), abs=0.05)
    assert frame.scale == pytest.approx(scale, rel=2e-3)
    assert frame.outliers == () and max(frame.residuals_mm.values()) < 0.2


def test_the_axes_are_right_handed_and_anterior_runs_about_from_pc_to_ac(protocol):
    frame = fit_frame(noisy(protocol), protocol)
    assert frame.axes @ frame.axes.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(frame.axes) == pytest.approx(1)
    line = frame.expected_mm["AC"] - frame.expected_mm["PC"]
    assert abs(line @ frame.axes[2]) < 3 and line @ frame.axes[1] > 20
    assert frame.origin_mm == pytest.approx(frame.expected_mm["AC"])
    assert frame.line is None


def test_once_an_end_of_the_line_is_placed_the_axes_run_along_it(protocol):
    marks = noisy(protocol)
    ac, pc = named(marks, "AC"), named(marks, "PC")
    low = ac.corrected(ac.position_mm - [0.0, 0.0, 4.0])
    one = fit_frame(replaced(marks, low), protocol)
    both = fit_frame(replaced(marks, low, pc.corrected(pc.position_mm)), protocol)
    assert one.line == both.line == protocol.frame.line
    assert (one.expected_mm["AC"] - one.expected_mm["PC"]) @ one.axes[2] == pytest.approx(0, abs=1e-9)
    assert abs((low.position_mm - pc.position_mm) @ both.axes[2]) < 0.05


def test_placing_another_landmark_draws_no_line(protocol):
    marks = noisy(protocol)
    genu = named(marks, "GENU")
    assert fit_frame(replaced(marks, genu.corrected(genu.position_mm)), protocol).line is None


@pytest.mark.parametrize("seed", range(4))
def test_turning_and_moving_all_landmarks_turns_and_moves_everything(protocol, seed):
    marks = without(noisy(protocol, seed), "VERTEX", "GENU")
    marks[3] = replace(marks[3], position_mm=marks[3].position_mm + 30.0)
    motion = random_placement(seed + 100)
    here, there = fit_frame(marks, protocol), fit_frame([moved(m, motion) for m in marks], protocol)
    assert there.axes == pytest.approx(here.axes @ motion.turn.T, abs=1e-6)
    assert there.origin_mm == pytest.approx(motion(here.origin_mm), abs=1e-6)
    assert there.scale == pytest.approx(here.scale, abs=1e-8)
    assert there.covariance == pytest.approx(here.covariance, abs=1e-6)
    for name, place in here.expected_mm.items():
        assert there.expected_mm[name] == pytest.approx(motion(place), abs=1e-6)
    spread = np.kron(np.eye(len(here.expected_mm)), motion.turn)
    turned = spread @ here.expected_covariance_mm2 @ spread.T
    assert there.expected_covariance_mm2 == pytest.approx(turned, abs=1e-6)
    assert there.outliers == here.outliers and there.residuals_mm == pytest.approx(here.residuals_mm, abs=1e-6)


def test_a_larger_head_has_a_larger_scale_and_the_same_axes(protocol):
    marks = noisy(protocol)
    growth = Placement(np.eye(3), np.zeros(3), 1.1)
    here, there = fit_frame(marks, protocol), fit_frame([moved(m, growth) for m in marks], protocol)
    assert there.scale == pytest.approx(1.1 * here.scale, rel=2e-3)
    assert np.abs(rotation_angles_deg(here.axes, there.axes)).max() < 0.05


@pytest.mark.parametrize("seed", range(6))
def test_gross_outliers_are_named_and_do_not_turn_the_frame(protocol, seed):
    rng = np.random.default_rng(seed)
    marks = noisy(protocol, seed)
    bad = rng.choice(len(marks), round(0.15 * len(marks)), replace=False)
    spoiled = list(marks)
    for i in bad:
        push = rng.normal(size=3)
        push *= rng.uniform(25, 80) / np.linalg.norm(push)
        spoiled[i] = replace(marks[i], position_mm=marks[i].position_mm + push)
    clean, frame = fit_frame(marks, protocol), fit_frame(spoiled, protocol)
    assert set(frame.outliers) == {marks[i].name for i in bad}
    assert np.abs(rotation_angles_deg(clean.axes, frame.axes)).max() < 1.0
    assert np.linalg.norm(frame.origin_mm - clean.origin_mm) < 1.0
    for i in bad:
        assert frame.residuals_mm[marks[i].name] > 20


def test_outliers_that_all_point_the_same_way_are_outvoted(protocol):
    marks = noisy(protocol, 3)
    spoiled = [replace(m, position_mm=m.position_mm + [0, 0, 40.0]) if i % 7 == 0 else m for i, m in enumerate(marks)]
    clean, frame = fit_frame(marks, protocol), fit_frame(spoiled, protocol)
    assert set(frame.outliers) == {m.name for m in marks[::7]}
    assert np.linalg.norm(frame.origin_mm - clean.origin_mm) < 1.0


def test_the_worst_outlier_is_named_first(protocol):
    marks = noisy(protocol)
    worse = [replace(m, position_mm=m.position_mm + d) for m, d in zip(marks[:2], (30.0, 60.0), strict=True)]
    assert fit_frame(replaced(marks, *worse), protocol).outliers == (marks[1].name, marks[0].name)


def test_ordinary_errors_make_no_outliers(protocol):
    found = [fit_frame(noisy(protocol, seed, sd_mm=2.0), protocol) for seed in range(10)]
    assert sum(len(frame.outliers) for frame in found) <= 1
    assert 0 < OUTLIER_WEIGHT < 1


def test_more_certain_landmarks_count_more(protocol):
    marks = landmarks_at(protocol)
    off = replace(named(marks, "AC"), position_mm=np.array([0.0, 0.0, 2.0]))
    peak_values = []
    for sd in (0.3, 1.0, 5.0):
        mark = replace(off, covariance_mm2=np.eye(3) * sd**2)
        peak_values.append(fit_frame(replaced(marks, mark), protocol).expected_mm["AC"][2])
    assert peak_values[0] > 1.5 * peak_values[1] > 3 * peak_values[2] > 0


def test_an_error_along_an_uncertain_axis_counts_less(protocol):
    """A point seen on a thick slice is sharp in the slice and vague across it."""
    marks = landmarks_at(protocol)
    flat = np.diag([1.0, 1.0, 400.0])
    across = replace(named(marks, "AC"), position_mm=np.array([0.0, 0.0, 5.0]), covariance_mm2=flat)
    within = replace(named(marks, "AC"), position_mm=np.array([5.0, 0.0, 0.0]), covariance_mm2=flat)
    still = fit_frame(marks, protocol).expected_mm["AC"]
    moves = [
        np.linalg.norm(fit_frame(replaced(marks, mark), protocol).expected_mm["AC"] - still)
        for mark in (across, within)
    ]
    assert moves[0] < 0.1 * moves[1]


@pytest.mark.parametrize("name", ["AC", "VERTEX", "LATERAL_L", "EYE_R"])
@pytest.mark.parametrize("push", [[3.0, -4.0, 2.0], [0.0, 0.0, 5.0]])
def test_a_corrected_landmark_is_met_and_never_an_outlier(protocol, name, push):
    marks = noisy(protocol)
    place = named(marks, name).position_mm + push
    frame = fit_frame(replaced(marks, named(marks, name).corrected(place)), protocol)
    assert np.linalg.norm(frame.expected_mm[name] - place) < 0.2
    assert name not in frame.outliers


def test_a_corrected_landmark_takes_its_neighbours_along(protocol):
    """Correct one, the others follow: the other side's and the near points move the same way."""
    marks = without(noisy(protocol), "VERTEX")
    before = fit_frame(marks, protocol)
    top = named(noisy(protocol), "RLVPC")
    after = fit_frame(replaced(marks, top.corrected(before.expected_mm["RLVPC"] + [0, 0, 6.0])), protocol)
    followed = {name: after.expected_mm[name][2] - before.expected_mm[name][2] for name in ("RLVPC", "LLVPC", "AC")}
    assert followed["RLVPC"] == pytest.approx(6, abs=0.2)
    assert followed["LLVPC"] > 1 and abs(followed["AC"]) < 0.5 * followed["LLVPC"]


def test_errors_of_pose_and_points_are_as_large_as_stated(protocol):
    """Monte Carlo: shapes and errors drawn from the model, a third of the landmarks missing."""
    rng = np.random.default_rng(7)
    names = protocol.constellation.names
    angles, origins, points = [], [], []
    for number in range(120):
        head = random_shape(protocol, rng)
        placement = random_placement(number, angle_deg=rng.uniform(0, 25))
        seen = [
            replace(m, covariance_mm2=np.diag(rng.uniform(1.0, 4.0, 3) ** 2))
            for m in landmarks_at(protocol, head, placement)
        ]
        lost = rng.choice(len(names), len(names) // 3, replace=False)
        frame = fit_frame(without(with_errors(seen, rng), *(names[i] for i in lost)), protocol)
        truth = true_frame(protocol, head, placement)
        sd = np.sqrt(np.diagonal(frame.covariance))
        angles.append(np.deg2rad(rotation_angles_deg(truth.axes, frame.axes)) / sd[:3])
        origins.append((frame.axes @ (frame.origin_mm - truth.origin_mm)) / sd[3:])
        place_sd = np.sqrt(np.diagonal(frame.expected_covariance_mm2).reshape(-1, 3))
        off = np.array([frame.expected_mm[n] - truth.expected_mm[n] for n in names]) / place_sd
        points.append(off[lost])
    assert np.std(angles) == pytest.approx(1, abs=0.15)
    assert np.std(origins) == pytest.approx(1, abs=0.15)
    assert np.std(np.concatenate(points)) == pytest.approx(1, abs=0.15)
    for errors in (angles, origins):
        assert np.abs(np.mean(errors, axis=0)).max() < 0.35


def test_a_missing_landmark_is_predicted_and_less_certain_than_a_seen_one(protocol):
    marks = noisy(protocol)
    truth = named(marks, "VERTEX").position_mm
    seen, missing = fit_frame(marks, protocol), fit_frame(without(marks, "VERTEX"), protocol)
    assert "VERTEX" not in missing.residuals_mm
    index = 3 * protocol.constellation.names.index("VERTEX")
    block = slice(index, index + 3)
    sd_seen, sd_missing = (np.sqrt(np.trace(f.expected_covariance_mm2[block, block])) for f in (seen, missing))
    assert sd_missing > 1.2 * sd_seen
    assert np.linalg.norm(missing.expected_mm["VERTEX"] - truth) < 3 * sd_missing
    assert set(missing.expected_mm) == set(protocol.constellation.names)


def test_names_the_protocol_does_not_know_are_left_out(protocol):
    marks = noisy(protocol)
    stranger = Landmark("NOSE", np.full(3, 500.0), np.eye(3) * 1e-4, 1.0, "predicted")
    assert fit_frame([*marks, stranger], protocol).origin_mm == pytest.approx(fit_frame(marks, protocol).origin_mm)


@pytest.mark.parametrize("order", [-1, 1])
def test_the_order_of_the_landmarks_does_not_matter(protocol, order):
    marks = noisy(protocol)
    assert fit_frame(marks[::order], protocol).axes == pytest.approx(fit_frame(marks, protocol).axes, abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_landmarks_are_refused_with_names_to_place(protocol, count):
    marks = landmarks_at(protocol)
    keep = [m.name for m in marks[:count]]
    with pytest.raises(InputError, match=f"only {count} landmark.*at least 3.*Place more landmarks, for example") as e:
        fit_frame(without(marks, *(m.name for m in marks if m.name not in keep)), protocol)
    suggested = str(e.value).split("for example ")[1].rstrip(".").split(", ")
    assert set(suggested) <= set(protocol.constellation.names) - set(keep) and "\n" not in str(e.value)


def test_collinear_landmarks_are_refused(protocol):
    keep = {"AC", "PC", "SIPF", "PG"}
    marks = [
        replace(m, position_mm=np.array([0.0, m.position_mm[1], 0.0])) if m.name in keep else Landmark(m.name)
        for m in landmarks_at(protocol)
    ]
    with pytest.raises(InputError, match="nearly collinear, so the rotation is undetermined"):
        fit_frame(marks, protocol)


def test_three_points_in_a_triangle_are_enough(protocol):
    marks = landmarks_at(protocol, placement=random_placement(1))
    keep = {"AC", "VERTEX", "LATERAL_R"}
    frame = fit_frame(without(marks, *(m.name for m in marks if m.name not in keep)), protocol)
    full = fit_frame(marks, protocol)
    assert np.abs(rotation_angles_deg(frame.axes, full.axes)).max() < 0.5
    assert (np.diagonal(frame.covariance)[:3] > np.diagonal(full.covariance)[:3]).all()


def test_midline_points_alone_leave_the_roll_uncertain(protocol):
    marks = landmarks_at(protocol)
    midline = fit_frame(without(marks, *(m.name for m in marks if abs(m.position_mm[0]) > 1)), protocol)
    sd = np.rad2deg(np.sqrt(np.diagonal(midline.covariance)[:3]))
    full = np.rad2deg(np.sqrt(np.diagonal(fit_frame(marks, protocol).covariance)[:3]))
    assert (sd[1:] > 1.2 * full[1:]).all()


@pytest.mark.parametrize("scale", [1.0, 1.3])
@pytest.mark.parametrize("keep", [None, ("AC", "PC", "GENU", "SPLE", "VERTEX", "LATERAL_L", "LATERAL_R", "EYE_L")])
def test_a_residual_is_the_distance_from_where_the_others_put_the_point(protocol, keep, scale):
    head = random_shape(protocol, np.random.default_rng(5))
    marks = with_errors(
        landmarks_at(protocol, head, Placement(np.eye(3), np.zeros(3), scale)), np.random.default_rng(6)
    )
    # Trusted, so that the robust weights do not change between the two fits.
    marks = [replace(m.corrected(m.position_mm), covariance_mm2=np.eye(3)) for m in marks]
    marks = marks if keep is None else [m for m in marks if m.name in keep]
    frame = fit_frame(marks, protocol)
    for mark in marks[:: max(1, len(marks) // 6)]:
        others = fit_frame([m for m in marks if m is not mark], protocol)
        distance = np.linalg.norm(mark.position_mm - others.expected_mm[mark.name])
        assert frame.residuals_mm[mark.name] == pytest.approx(distance, rel=0.035, abs=0.01)


@pytest.mark.parametrize("line", [None, (("PC",), ("AC",)), (("SPLE", "PG"), ("GENU",))])
def test_the_rotation_response_is_the_derivative_of_the_axes(protocol, line):
    """Checked by moving points of the reference, whose axes are the world's, and measuring how the frame turns."""
    reference = protocol.constellation.reference_mm
    response = rotation_response(protocol, line)

    def axes_of(points):
        frame = true_frame(protocol, points)
        return line_axes(frame.axes, line, frame.expected_mm)

    rng = np.random.default_rng(0)
    for _ in range(4):
        step = rng.normal(0, 0.05, reference.shape)
        before, after = axes_of(reference - step), axes_of(reference + step)
        measured = np.deg2rad(rotation_angles_deg(before, after)) @ before / 2
        assert response @ step.ravel() == pytest.approx(measured, abs=2e-5)


def test_a_constellation_without_modes_works(protocol):
    brain = protocol.constellation
    stiff = replace(protocol, constellation=Constellation(brain.landmarks, np.zeros((0, 3 * len(brain.landmarks)))))
    frame = fit_frame(landmarks_at(stiff, placement=random_placement(2)), stiff)
    assert np.abs(frame.axes @ random_placement(2).turn - np.eye(3)).max() < 0.06


SHARED = np.diag([3e-4, 1e-4, 2e-4, 1e-4, 0.5, 1.0, 2.0])


def test_an_error_that_all_landmarks_share_adds_to_the_covariance_in_full(protocol):
    marks = noisy(protocol)
    alone, shared = fit_frame(marks, protocol), fit_frame(marks, protocol, SHARED)
    added = np.diagonal(shared.covariance - alone.covariance)
    assert added[:3] == pytest.approx(np.diagonal(SHARED)[:3], rel=0.25)
    assert shared.axes == pytest.approx(alone.axes, abs=0.01)


def test_a_shared_error_turns_with_the_world(protocol):
    marks, motion = noisy(protocol), random_placement(9)
    marks[0] = marks[0].corrected(marks[0].position_mm)
    here, there = (fit_frame(m, protocol, SHARED) for m in (marks, [moved(x, motion) for x in marks]))
    assert there.axes == pytest.approx(here.axes @ motion.turn.T, abs=1e-6)
    assert there.covariance == pytest.approx(here.covariance, abs=1e-6)


def test_corrected_landmarks_do_not_share_the_networks_error(protocol):
    exact = [m.corrected(m.position_mm) for m in noisy(protocol)]
    assert fit_frame(exact, protocol, SHARED).covariance == pytest.approx(fit_frame(exact, protocol).covariance)


def test_three_corrections_overrule_a_shared_error(protocol):
    """Predictions are all turned by 4 degrees: placing three points right turns the whole head back."""
    truth = landmarks_at(protocol)
    turned = [moved(m, Placement(random_placement(3, angle_deg=4.0).turn, np.zeros(3))) for m in truth]
    placed = [named(truth, n).corrected(named(truth, n).position_mm) for n in ("VERTEX", "LATERAL_L", "OCCIPITAL_R")]
    without_it, with_it = (fit_frame(replaced(turned, *placed), protocol, q) for q in (None, 10 * SHARED))
    straight = fit_frame(truth, protocol).axes
    off = [np.abs(rotation_angles_deg(straight, frame.axes)).max() for frame in (without_it, with_it)]
    assert off[1] < 0.7 * off[0]


def test_the_difference_of_two_poses_is_the_motion_between_them(protocol):
    head = random_shape(protocol, np.random.default_rng(1))
    small = Placement(Rotation.from_rotvec([0.01, -0.02, 0.015]).as_matrix(), np.array([1.0, -2.0, 0.5]), 1.01)
    difference = pose_difference(protocol, true_frame(protocol, head, small), true_frame(protocol, head))
    assert difference[:3] == pytest.approx([0.01, -0.02, 0.015], abs=2e-3)
    assert difference[3] == pytest.approx(0.01, abs=1e-3)
    assert difference[4:] == pytest.approx([1.0, -2.0, 0.5], abs=0.15)


def test_the_size_of_a_few_vague_points_is_drawn_towards_the_usual_one(protocol):
    large = Placement(np.eye(3), np.zeros(3), 1.3)
    keep = ("AC", "VERTEX", "LATERAL_R")
    marks = [m for m in landmarks_at(protocol, placement=large, sd_mm=15.0) if m.name in keep]
    sure = [m for m in landmarks_at(protocol, placement=large, sd_mm=0.5) if m.name in keep]
    assert 1.0 < fit_frame(marks, protocol).scale < 1.25 < fit_frame(sure, protocol).scale < 1.3


# ---- points that no head has ----


@pytest.mark.parametrize("value", [1e15, 2147483648.0, -2001.0, float("inf"), float("nan")])
def test_a_point_farther_than_any_patient_is_named(protocol, value):
    landmarks = landmarks_at(protocol)
    landmarks[3] = landmarks[3].corrected([value, 0.0, 0.0])
    with pytest.raises(InputError, match=f"{landmarks[3].name} lies farther than 2000 mm"):
        fit_frame(landmarks, protocol)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("count", [4, 8, 45])
def test_points_mirrored_left_right_are_called_so(protocol, seed, count):
    """The signs of one axis exchanged, whatever the pose; sides named the wrong way round are the same."""
    rng = np.random.default_rng(seed)
    head = random_shape(protocol, rng)
    chosen = rng.permutation(len(head))[:count]
    if count < 8:  # the sides, front and back and top
        chosen = [
            protocol.constellation.names.index(name) for name in ("EYE_L", "EYE_R", "VERTEX", "SPLE", "LATERAL_L")
        ]
    placed = landmarks_at(protocol, head, random_placement(seed, angle_deg=20))
    mirrored = [placed[i].corrected(placed[i].position_mm * [-1, 1, 1]) for i in chosen]
    with pytest.raises(InputError, match="left and right look exchanged"):
        fit_frame(mirrored, protocol)
    fit_frame([placed[i].corrected(placed[i].position_mm) for i in chosen], protocol)


def test_a_wrong_point_among_right_ones_is_no_exchange_of_sides(protocol):
    landmarks = landmarks_at(protocol)
    for name, at in {"EYE_L": [40.0, 0, 0], "EYE_R": [-60.0, 20, 5]}.items():
        index = protocol.constellation.names.index(name)
        landmarks[index] = landmarks[index].corrected(at)
    fit_frame(landmarks, protocol)


@pytest.mark.parametrize(
    "covariance",
    [np.zeros((3, 3)), -np.eye(3), np.full((3, 3), 1e308), np.full((3, 3), np.nan), np.diag([1.0, 1.0, 0.0])]
    + [np.array([[2.0, 0, 0], [0, 2, 0], [0, 1e308, 2]]), np.array([[2.0, 0, 0], [0, 2, 0], [0, 1, 2]])],
)
def test_an_uncertainty_that_is_none_is_named(protocol, covariance):
    landmarks = landmarks_at(protocol)
    landmarks[5] = replace(landmarks[5], covariance_mm2=covariance)
    with pytest.raises(InputError, match=f"covariance of {landmarks[5].name} is not valid"):
        fit_frame(landmarks, protocol)


def test_a_shared_uncertainty_that_is_none_is_refused(protocol):
    with pytest.raises(InputError, match="covariance of the pose is not valid"):
        fit_frame(landmarks_at(protocol), protocol, -np.eye(7))
    fit_frame(landmarks_at(protocol), protocol, np.zeros((7, 7)))
