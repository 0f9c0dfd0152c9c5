"""PC, LVAC and LVPC where human raters place them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.scouts.volume import Volume
from LandmarkTrainingLib.core.reference_heads.corrected_targets import correct_label_points, correct_volume_points

ORIGIN = np.array([60.0, 70.0, 40.0])
POINTS = {
    name: np.array(place, dtype=float)
    for name, place in {"AC": (0, 0, 0), "PC": (0, -26, 0), "RLVAC": (14, 3, 27), "LLVAC": (-14, 3, 27),
                        "RLVPC": (17, -22, 28), "LLVPC": (-17, -22, 28), "GENU": (0, 30, 8)}.items()
}  # fmt: skip


def label_map(left_reach_mm=16, turn_deg=0.0):
    """Ventricles as bars along anterior: the right one up to 15 mm beside the midline, between 15 and 25 mm high."""
    turn = Rotation.from_euler("x", turn_deg, degrees=True).as_matrix()
    index = np.stack(np.meshgrid(*[np.arange(120)] * 3, indexing="ij"), -1)
    right, anterior, superior = np.moveaxis((index - ORIGIN) @ turn, -1, 0)
    bar = (anterior > -60) & (anterior < 40) & (superior >= 15) & (superior <= 25)
    labels = np.zeros((120,) * 3, np.int32)
    labels[bar & (right > 5) & (right <= 15)] = 43
    labels[bar & (right < -2) & (right >= -left_reach_mm)] = 4
    return Volume(labels, np.eye(4)), turn


@pytest.mark.parametrize("turn_deg", [0.0, 20.0])
def test_ventricle_landmarks_lie_on_the_lateral_border_in_the_coronal_slices_of_ac_and_pc(turn_deg):
    labels, turn = label_map(turn_deg=turn_deg)
    points = {name: ORIGIN + turn @ place for name, place in POINTS.items()}
    corrected = correct_label_points(points, labels, ORIGIN, turn.T)
    local = {name: (place - ORIGIN) @ turn for name, place in corrected.items()}
    assert local["RLVAC"] == pytest.approx([15.5, 0, 20], abs=0.7)
    assert local["LLVAC"] == pytest.approx([-16.5, 0, 20], abs=0.7)
    assert local["RLVPC"] == pytest.approx([15.5, -26.5, 20], abs=0.7)
    assert local["PC"] == pytest.approx([0, -26.5, 0.5])
    for name in ("AC", "GENU"):
        assert local[name] == pytest.approx(POINTS[name], abs=1e-9)


def test_a_ventricle_that_is_cut_off_is_left_out():
    labels, turn = label_map(left_reach_mm=7)
    corrected = correct_label_points({n: ORIGIN + p for n, p in POINTS.items()}, labels, ORIGIN, turn)
    assert "RLVAC" in corrected and "LLVAC" not in corrected


def test_points_of_real_images_move_onto_the_coronal_slices_only():
    turn = Rotation.from_euler("xyz", [12, -7, 20], degrees=True).as_matrix()
    points = {name: ORIGIN + turn @ place for name, place in POINTS.items()}
    corrected = correct_volume_points(points, ORIGIN, turn.T)
    local = {name: (place - ORIGIN) @ turn for name, place in corrected.items()}
    assert local["PC"] == pytest.approx([0, -26.3, 0.3])
    assert local["LLVAC"] == pytest.approx([-14, 0, 27], abs=1e-9)
    assert local["RLVPC"] == pytest.approx([17, -26.3, 28])
    assert local["GENU"] == pytest.approx(POINTS["GENU"]) and set(corrected) == set(points)


def test_label_maps_and_real_images_can_be_read_both_ways(shared_data):
    from LandmarkTrainingLib.core.reference_heads.heads import list_heads

    as_filed, corrected = (list_heads(shared_data, "train", corrected=c)[0] for c in (False, True))
    moved = (corrected.points["PC"] - as_filed.points["PC"]) @ as_filed.axes.T
    assert moved == pytest.approx([0, -0.3, 0.3])
