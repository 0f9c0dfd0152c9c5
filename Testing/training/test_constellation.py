"""The reference constellation measured from made heads, point files, and the ends of the hippocampi."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.cli.main import main
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.scouts.volume import Volume
from LandmarkTrainingLib.core.reference_heads.constellation import (
    EXTREME_SD_MM,
    LOG_SIZE_SD,
    read_heads,
    update_anatomy,
    widened,
)
from LandmarkTrainingLib.core.reference_heads.label_landmarks import hippocampus_ends, read_label_map
from LandmarkTrainingLib.core.reference_heads.mean_shape import MeasuredShape, measure_shape
from LandmarkTrainingLib.core.reference_heads.point_files import read_points, read_uncertainties

NAMES = ("AC", "PC", "TOP", "FRONT", "SIDE_L", "SIDE_R", "REYE", "LEYE")
MIRROR = (0, 1, 2, 3, 5, 4, 7, 6)
PLACES = np.array(
    [[0, 0, 0], [0, -26, 0], [0, -20, 70], [0, 65, 5], [-66, -30, 0], [66, -30, 0], [32, 55, -30], [-32, 55, -30]],
    dtype=float,
)


def made_heads(count: int, seed: int = 0, noise_mm: float = 0.3) -> list[dict[str, np.ndarray]]:
    """Heads whose TOP goes up and down (3 mm), with noise, in random poses and sizes."""
    rng = np.random.default_rng(seed)
    heads = []
    for _ in range(count):
        shape = PLACES + rng.normal(0, noise_mm, PLACES.shape)
        shape[2, 2] += rng.normal(0, 3)
        turn = Rotation.from_rotvec(rng.uniform(-0.5, 0.5, 3)).as_matrix()
        placed = rng.uniform(0.9, 1.1) * shape @ turn.T + rng.uniform(-30, 30, 3)
        heads.append(dict(zip(NAMES, placed, strict=True)))
    return heads


def test_the_mean_is_found_whatever_the_poses():
    shape = measure_shape(made_heads(60), NAMES, MIRROR)
    size = np.linalg.norm(shape.reference_mm[5] - shape.reference_mm[4]) / 132
    assert size == pytest.approx(1, abs=0.03)
    assert shape.reference_mm / size == pytest.approx(PLACES, abs=0.7)


def test_the_mean_is_symmetric_and_stands_on_ac_and_pc():
    reference = measure_shape(made_heads(10), NAMES, MIRROR).reference_mm
    assert reference[list(MIRROR)] * [-1, 1, 1] == pytest.approx(reference, abs=1e-9)
    assert reference[0] == pytest.approx(np.zeros(3), abs=1e-9)
    assert reference[1][[0, 2]] == pytest.approx(np.zeros(2), abs=1e-9)
    assert reference[1][1] < 0


def test_the_strongest_mode_is_the_one_that_was_put_in():
    shape = measure_shape(made_heads(80), NAMES, MIRROR)
    strongest = shape.modes_mm[0].reshape(-1, 3)
    assert np.abs(strongest).argmax() == 2 * 3 + 2
    assert shape.sd_mm[2, 2] == pytest.approx(3, rel=0.25)
    assert np.median(shape.sd_mm) < 0.6


def test_the_variation_is_symmetric():
    sd = measure_shape(made_heads(10), NAMES, MIRROR).sd_mm
    assert sd[list(MIRROR)] == pytest.approx(sd, abs=1e-6)


def test_the_sense_of_scale_and_pose_is_removed():
    still = measure_shape(made_heads(40, noise_mm=1e-3), NAMES, MIRROR)
    others = np.delete(still.sd_mm.ravel(), 2 * 3 + 2)
    assert others.max() < 1.0


def test_points_that_some_heads_lack_are_filled_without_bias():
    whole = made_heads(40)
    gaps = [{n: p for n, p in head.items() if not (n == "REYE" and i < 8)} for i, head in enumerate(whole)]
    a, b = measure_shape(whole, NAMES, MIRROR), measure_shape(gaps, NAMES, MIRROR)
    assert b.reference_mm == pytest.approx(a.reference_mm, abs=0.15)
    assert b.sd_mm == pytest.approx(a.sd_mm, abs=0.15)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda heads: heads[:2], "2 heads"),
        (lambda heads: [{**heads[0], "AC": np.full(3, np.nan)}, *heads[1:]], "head 1 lacks AC"),
        (lambda heads: [{n: p for n, p in h.items() if n != "TOP"} for h in heads], "TOP in fewer"),
    ],
)
def test_heads_that_do_not_suffice_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        measure_shape(change(made_heads(5)), NAMES, MIRROR)


def test_a_point_file_is_read(tmp_path):
    path = tmp_path / "head.csv"
    path.write_text('label,x,y,z,uncertainty_mm,source\nAC,1.5,-2,3,1.2,"a, b"\nPC,0,0,0,,\n')
    points = read_points(path)
    assert list(points) == ["AC", "PC"]
    assert points["AC"] == pytest.approx([1.5, -2, 3])
    assert read_uncertainties(path) == {"AC": 1.2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label,x,y\nAC,1,2\n", "no column z"),
        ("label,x,y,z\nAC,1,2,far\n", "z of AC"),
        ("label,x,y,z\nAC,1,2\n", "z of AC"),
        ("label,x,y,z\nAC,1,2,inf\n", "z of AC"),
        ("label,x,y,z\nAC,1,2,3\nAC,1,2,3\n", "AC more than once"),
    ],
)
def test_a_broken_point_file_is_refused(tmp_path, text, said):
    (tmp_path / "head.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_points(tmp_path / "head.csv")


def hippocampi(length_mm: float = 40.0) -> Volume:
    """Two rods of 8 mm across, dipping forward by 30 deg, with a stray voxel of the same label far away."""
    grid = np.stack(np.meshgrid(*[np.arange(80)] * 3, indexing="ij"), axis=-1) - 40.0
    axis = np.array([0, np.cos(np.pi / 6), -0.5])
    labels = np.zeros((80, 80, 80), np.int32)
    for number, x in ((17, -20.0), (53, 20.0)):
        offset = grid - [x, 0, 0]
        along = offset @ axis
        across = np.linalg.norm(offset - along[..., None] * axis, axis=-1)
        labels[(np.abs(along) <= length_mm / 2) & (across <= 4)] = number
    labels[75, 75, 75] = 17
    affine = np.eye(4)
    affine[:3, 3] = -40 + np.array([1.0, 2.0, 3.0])
    return Volume(labels, affine)


def test_the_ends_of_the_hippocampi_are_found():
    ends = hippocampus_ends(hippocampi())
    center = np.array([1.0, 2.0, 3.0])
    half = 19.5 * np.array([0, np.cos(np.pi / 6), -0.5])
    assert ends["HIPPOCAMPUS_HEAD_L"] == pytest.approx(center + [-20, 0, 0] + half, abs=1)
    assert ends["HIPPOCAMPUS_TAIL_R"] == pytest.approx(center + [20, 0, 0] - half, abs=1)


def test_head_and_tail_follow_the_direction_that_is_called_anterior():
    plain, turned = hippocampus_ends(hippocampi()), hippocampus_ends(hippocampi(), anterior=(0, -1, 0))
    assert turned["HIPPOCAMPUS_HEAD_L"] == pytest.approx(plain["HIPPOCAMPUS_TAIL_L"])


def test_heads_beyond_the_measured_ones_differ_more_at_their_extremes_and_in_their_proportions():
    reference = np.array([[0.0, 0.0, 0.0], [-10.0, 64.0, 7.0]])
    measured = MeasuredShape(reference, np.full((2, 3), 1.5), np.zeros((1, 6)))
    shape = widened(measured, ("AC", "FRONTAL_L"))
    assert shape.reference_mm is reference and len(shape.modes_mm) == 1 + 3
    assert shape.sd_mm[0] == pytest.approx([1.5] * 3)
    own = LOG_SIZE_SD**2 * 2 / 3 * reference[1] ** 2
    assert shape.sd_mm[1] == pytest.approx(np.sqrt(1.5**2 + EXTREME_SD_MM**2 + own))
    longer = shape.modes_mm[2].reshape(2, 3)
    assert longer[1, 1] == pytest.approx(LOG_SIZE_SD * 64 * 2 / 3) and not longer[0].any()
    assert shape.modes_mm.sum(axis=0) == pytest.approx(np.zeros(6)), "the size of the head itself is no shape"


def test_a_damaged_hippocampus_is_left_out():
    volume = hippocampi()
    volume.array[:40, :50] = 0
    assert set(hippocampus_ends(volume)) == {"HIPPOCAMPUS_HEAD_R", "HIPPOCAMPUS_TAIL_R"}


def test_a_label_map_is_read_in_ras(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetOrigin((10.0, 20.0, 30.0))
    sitk.WriteImage(image, str(tmp_path / "labels.nii.gz"))
    volume = read_label_map(tmp_path / "labels.nii.gz")
    assert volume.array.shape == (4, 3, 2)
    assert volume.array[1, 2, 1] == 12 + 8 + 1
    assert volume.affine @ [1, 2, 1, 1] == pytest.approx([-11, -24, 33, 1])
    with pytest.raises(InputError, match="absent"):
        read_label_map(tmp_path / "absent.nii.gz")


def test_the_shipped_brain_is_what_the_label_maps_and_the_raters_points_give(shared_data, tmp_path):
    copy = tmp_path / "brain.json"
    shutil.copy(resource_path("Anatomies", "brain.json"), copy)
    update_anatomy(copy, shared_data / "labels")
    people = [str(path) for kind in ("hcp", "oasis") for path in shared_data.glob(f"human_landmarks/{kind}_*.csv")]
    assert main(["anatomy", "--points", *people, "--update", str(copy), "--keep-variation"]) == 0
    measured, shipped = (json.loads(p.read_text("utf-8")) for p in (copy, resource_path("Anatomies", "brain.json")))
    for a, b in zip(measured["landmarks"], shipped["landmarks"], strict=True):
        assert a["reference_mm"] == pytest.approx(b["reference_mm"], abs=0.02)
        assert a["sd_mm"] == pytest.approx(b["sd_mm"], abs=0.02)
    assert measured["lines"][0]["pitch_sd_deg"] == pytest.approx(shipped["lines"][0]["pitch_sd_deg"], abs=0.03)
    assert np.abs(measured["modes_mm"]) == pytest.approx(np.abs(shipped["modes_mm"]), abs=0.05)


def test_the_heads_have_the_landmarks_of_the_brain(shared_data):
    heads = read_heads(shared_data / "labels")
    names = set(load_protocol("BrainAcPc").constellation.names)
    assert len(heads) == 20
    assert sum(names <= head.keys() for head in heads) == 17
