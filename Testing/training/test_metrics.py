import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice
from LandmarkTrainingLib.core.evaluation.metrics import (
    box_errors,
    covered_fraction,
    face_errors_mm,
    landmark_errors_mm,
    markdown_table,
    oriented_iou,
    points_on_slice,
    success_rates,
    summarize,
)


def box(center=(5, -3, 8), size=(140, 180, 150), angles=(0, 0, 0)):
    axes = Rotation.from_euler("xyz", angles, degrees=True).as_matrix().T
    return OrientedBox("box", np.array(center, dtype=float), axes, np.array(size, dtype=float))


def grid_iou(a, b, n=90):
    """The overlap by counting, as an independent check."""
    steps = (np.arange(n) + 0.5) / n - 0.5
    local = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3) * a.size_mm
    shared = b.contains(local @ a.axes + a.center_mm).mean() * np.prod(a.size_mm)
    return shared / (np.prod(a.size_mm) + np.prod(b.size_mm) - shared)


def test_a_box_has_no_error_against_itself():
    turned = box(angles=(10, -20, 30))
    errors = box_errors(turned, turned)
    assert errors.rotation_deg == pytest.approx(0, abs=1e-5)
    assert errors.center_mm == 0 and errors.faces_mm == pytest.approx([0] * 6, abs=1e-9)
    assert errors.iou == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_the_exact_overlap_agrees_with_counting_and_does_not_depend_on_the_order(seed):
    rng = np.random.default_rng(seed)
    a = box(rng.uniform(-20, 20, 3), rng.uniform(100, 200, 3), rng.uniform(-25, 25, 3))
    b = box(rng.uniform(-20, 20, 3), rng.uniform(100, 200, 3), rng.uniform(-25, 25, 3))
    assert oriented_iou(a, b) == pytest.approx(grid_iou(a, b), abs=0.005)
    assert oriented_iou(a, b) == pytest.approx(oriented_iou(b, a), abs=1e-9)


def test_boxes_apart_do_not_overlap():
    assert oriented_iou(box(), box(center=(500, 0, 0))) == 0
    assert oriented_iou(box((0, 0, 0), (10, 10, 10)), box((10, 0, 0), (10, 10, 10))) == 0


def test_a_box_shifted_by_half_its_width_overlaps_by_a_third():
    assert oriented_iou(box((0, 0, 0), (10, 20, 30)), box((5, 0, 0), (10, 20, 30))) == pytest.approx(1 / 3)


def test_faces_are_signed_outwards_in_the_order_left_right_posterior_anterior_inferior_superior():
    true, larger = box((0, 0, 0), (100, 100, 100)), box((1, 0, -2), (110, 100, 104))
    assert face_errors_mm(larger, true) == pytest.approx([4, 6, 0, 0, 4, 0])


def test_faces_of_a_turned_box_are_compared_along_the_true_normals():
    true, turned = box((0, 0, 0), (100, 120, 140)), box((0, 0, 0), (100, 120, 140), (0, 0, 10))
    expected = 50 / np.cos(np.deg2rad(10)) - 50
    assert face_errors_mm(turned, true)[1] == pytest.approx(expected)


def test_face_errors_do_not_change_when_both_boxes_are_moved_together():
    turn = Rotation.from_euler("xyz", [30, 40, 50], degrees=True).as_matrix()

    def moved(b):
        return OrientedBox(b.name, turn @ b.center_mm + 7, b.axes @ turn.T, b.size_mm)

    true, found = box(), box((8, 0, 6), (150, 175, 149), (4, -3, 2))
    assert face_errors_mm(moved(found), moved(true)) == pytest.approx(face_errors_mm(found, true))


@pytest.mark.parametrize("axis", range(3))
def test_pitch_roll_and_yaw_are_told_apart(axis):
    angles = np.zeros(3)
    angles[axis] = 6
    errors = box_errors(box(angles=angles), box())
    assert np.abs(errors.angles_deg) == pytest.approx(np.abs(angles), abs=1e-9)
    assert errors.rotation_deg == pytest.approx(6)


def test_covered_fraction_counts_points_inside():
    points = np.array([[0, 0, 0], [69, 0, 0], [80, 0, 0], [0, 0, -100]])
    assert covered_fraction(box((0, 0, 0)), points) == 0.5


def test_an_extreme_counts_along_its_normal_and_other_landmarks_in_space():
    true = {"AC": np.zeros(3), "FRONTAL_L": np.array([-10.0, 60, 0])}
    found = [Landmark("AC", np.array([3.0, 0, 4])), Landmark("FRONTAL_L", np.array([20.0, 58, 9])), Landmark("PC")]
    assert landmark_errors_mm(found, true, np.eye(3), {"FRONTAL_L": 1}) == pytest.approx({"AC": 5, "FRONTAL_L": 2})


def sagittal_slice(offset_mm):
    pixels = np.zeros((100, 120), np.float32)
    return ScoutSlice(pixels, np.array([offset_mm, -60.0, -50.0]), np.eye(3)[1], np.eye(3)[2], (1.0, 1.0))


def test_a_pair_is_its_middle_on_a_sagittal_slice_and_far_points_are_not_on_it():
    true = {"AC": np.array([3.0, 5, 6]), "RLVAC": np.array([16.0, 0, 20]), "LLVAC": np.array([-14.0, 4, 22]),
            "FAR": np.array([9.0, 0, 0]), "OUTSIDE": np.array([0.0, 70, 0])}  # fmt: skip
    visible = points_on_slice(sagittal_slice(1.0), "sagittal", true, {"RLVAC": "LLVAC", "LLVAC": "RLVAC"}, 6.0)
    assert set(visible) == {"AC", "RLVAC", "LLVAC"}
    assert visible["AC"] == pytest.approx([1, 5, 6])
    assert visible["RLVAC"] == pytest.approx([1, 2, 21]) and visible["LLVAC"] == pytest.approx([1, 2, 21])


def test_points_that_were_not_found_are_failures():
    assert success_rates([1.0, 2.2, 3.5], expected=4) == {2.0: 0.25, 2.5: 0.5, 3.0: 0.5, 4.0: 0.75}
    assert np.isnan(success_rates([])[2.0])


def test_a_summary_leaves_out_what_is_not_there():
    summary = summarize([1.0, None, float("nan"), 3.0])
    assert (summary.count, summary.median, summary.mean) == (2, 2.0, 2.0)
    assert summarize([]).count == 0 and np.isnan(summarize([]).p95)


def test_a_markdown_table_has_as_many_cells_in_every_line():
    lines = markdown_table(["name", "value"], [["a", 1], ["long name", 22.5]]).splitlines()
    assert [line.count("|") for line in lines] == [3] * 4 and len({len(line) for line in lines}) == 1
    assert lines[1].startswith("| ---") and lines[1].endswith(": |")
