import csv

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.errors import InputError
from head_phantom import typical_extreme_points
from LandmarkTrainingLib.core.reference_heads.brain_extremes import EXTREMES, acpc_axes, brain_extremes
from LandmarkTrainingLib.core.reference_heads.heads import list_heads

POINTS = {
    "AC": (0, 0, 0), "PC": (0, -26, 0), "GENU": (0, 30, 8), "SPLE": (0, -39, 6), "RLVAC": (16, 0, 20),
    "LLVAC": (-16, 0, 20), "RIGO": (15, -40, 5), "LIGO": (-15, -40, 5), "RVOH": (20, -80, 4), "LALTH": (-34, -5, -25),
    "BRAIN_SUP": (0, 0, 72), "SCALP_SUP": (0, 0, 90), "HEAD_ANT": (0, 110, -30),
}  # fmt: skip
STILL, SHIFTLESS = np.eye(3), np.zeros(3)
TURN = Rotation.from_euler("xyz", [12, -7, 20], degrees=True).as_matrix()
SHIFT = np.array([4.0, 30.0, -12.0])


def write_points(path, points, turn=STILL, shift=SHIFTLESS, source="by hand"):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "x", "y", "z", "uncertainty_mm", "source"])
        for name, point in points.items():
            writer.writerow([name, *(turn @ np.array(point, dtype=float) + shift), 1.5, source])


@pytest.fixture
def data(tmp_path):
    """Heads "one" (with brain points), "two" (the same one turned, points carried over), "three" (split train)."""
    rows = [("one", "validation"), ("two", "validation"), ("three", "train")]
    with open(tmp_path / "heads.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "subject", "contrast_scanner"])
        writer.writerows([name, split, "S1", "T1"] for name, split in rows)
    heads = tmp_path / "heads"
    heads.mkdir()
    write_points(heads / "one.csv", POINTS)
    write_points(heads / "two.csv", POINTS, TURN, SHIFT, "rigid from one: by hand")
    write_points(heads / "three.csv", POINTS)
    np.save(heads / "one_brain.npy", typical_extreme_points().astype(np.float32))
    return tmp_path


def test_only_the_heads_of_the_split_are_listed_with_their_images(data):
    heads = list_heads(data, "validation")
    assert [head.id for head in heads] == ["one", "two"]
    assert heads[0].volume_path == data / "heads" / "one.nii.gz" and heads[0].contrast == "T1"


def test_unreliable_points_and_extremes_along_the_patient_axes_are_no_truth(data):
    names = set(list_heads(data, "train")[0].points)
    assert names == {"AC", "PC", "GENU", "SPLE", "RLVAC", "LLVAC", "RIGO", "LIGO"}


def test_brain_points_give_the_extremes_in_the_heads_own_frame(data):
    one, two = list_heads(data, "validation")
    assert len(one.points) == 8 + len(EXTREMES)
    frontal = next(extreme for extreme in EXTREMES if extreme.name == "FRONTAL_L")
    expected = np.array(frontal.typical_mm) + [0, frontal.outward_mm, 0]
    assert one.points["FRONTAL_L"] == pytest.approx(expected, abs=1e-4)
    assert two.points["FRONTAL_L"] == pytest.approx(TURN @ expected + SHIFT, abs=1e-4)


def test_brain_points_follow_points_that_were_carried_over_to_another_image(data):
    one, two = list_heads(data, "validation")
    assert two.brain_points == pytest.approx(one.brain_points @ TURN.T + SHIFT, abs=1e-3)
    assert list_heads(data, "train")[0].brain_points is None


def test_an_extreme_is_certain_along_its_normal_only(data):
    two = list_heads(data, "validation")[1]
    local = two.axes @ two.covariances_mm2["VERTEX"] @ two.axes.T
    assert local[2, 2] == pytest.approx(4.0) and local[0, 0] > 100 and local[1, 1] > 100
    assert two.covariances_mm2["AC"] == pytest.approx(np.eye(3) * 1.5**2)


def test_true_landmarks_are_trusted_by_the_fit(data):
    landmarks = {mark.name: mark for mark in list_heads(data, "validation")[0].landmarks()}
    assert landmarks["PC"].status == "corrected" and landmarks["PC"].position_mm == pytest.approx([0, -26, 0])


def test_the_frame_follows_the_head(data):
    one, two = list_heads(data, "validation")
    assert one.axes == pytest.approx(np.eye(3), abs=1e-9)
    assert two.axes == pytest.approx(TURN.T, abs=1e-9)


def test_single_stray_points_do_not_move_an_extreme():
    points = typical_extreme_points()
    stray = np.vstack([points, [[0, -29, 95]], [[0, -55, -90]]])  # a dura voxel; the brain stem
    positions, _ = brain_extremes(stray, np.zeros(3), np.eye(3))
    clean, _ = brain_extremes(points, np.zeros(3), np.eye(3))
    assert positions["VERTEX"] == pytest.approx(clean["VERTEX"])
    assert positions["CEREBELLUM_L"] == pytest.approx(clean["CEREBELLUM_L"])


def test_an_extreme_without_brain_near_it_is_left_out():
    points = typical_extreme_points()
    positions, covariances = brain_extremes(points[points[:, 2] > -50], np.zeros(3), np.eye(3))
    assert "CEREBELLUM_L" not in positions and "VERTEX" in positions and set(positions) == set(covariances)


def test_a_frame_needs_a_left_right_pair():
    with pytest.raises(KeyError):
        acpc_axes({"AC": np.zeros(3), "PC": np.array([0.0, -26, 0])})


def test_an_unknown_split_and_a_missing_table_are_told(data, tmp_path):
    with pytest.raises(InputError, match="split 'test'"):
        list_heads(data, "test")
    with pytest.raises(InputError, match="table of heads"):
        list_heads(tmp_path / "nowhere", "train")


def test_a_head_without_ac_is_told(data):
    write_points(data / "heads" / "three.csv", {name: p for name, p in POINTS.items() if name != "AC"})
    with pytest.raises(InputError, match="no point AC"):
        list_heads(data, "train")


def test_the_real_heads_have_truth_that_is_a_head(shared_data):
    heads = list_heads(shared_data, "validation")
    assert len(heads) == 21 and all(head.brain_points is not None for head in heads)
    for head in heads:
        local = {name: head.axes @ (point - head.origin_mm) for name, point in head.points.items()}
        assert 50 < local["FRONTAL_L"][1] < 80 and -120 < local["OCCIPITAL_R"][1] < -90
        assert 22 < -local["PC"][1] < 32 and 55 < local["VERTEX"][2] < 82
