"""Label maps of any anatomy: the scene that describes them, their contrasts, and the slices of them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from LandmarkTrainingLib.core.simulator import render
from LandmarkTrainingLib.core.simulator.effects.effect_settings import SimulationEffects
from LandmarkTrainingLib.core.simulator.effects.fields_of_view import FieldsOfView
from LandmarkTrainingLib.core.simulator.effects.scanner_effects import limit_field_of_view
from LandmarkTrainingLib.core.simulator.knees.pool import write_knee
from LandmarkTrainingLib.core.simulator.knees.tissues import HALF_MM, VOXEL_MM, knee_scene, knee_table
from LandmarkTrainingLib.core.simulator.label_maps import find_label_maps, load_simulated_anatomy
from LandmarkTrainingLib.core.simulator.pose import PoseLimits
from LandmarkTrainingLib.core.simulator.render import simulate_batch
from LandmarkTrainingLib.core.simulator.scenes.extent import Extent
from LandmarkTrainingLib.core.simulator.scenes.other_limb import OtherLimb
from LandmarkTrainingLib.core.simulator.scenes.scene import SCENE_FILE, Scene, read_scene, scene_from_dict
from LandmarkTrainingLib.core.simulator.scenes.tissue_table import TissueTable
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings

NAMES = ("EMINENCE", "BALL_R", "BALL_L")
MIRROR = np.array([0, 2, 1])
PLACES = np.array([[0.0, 0.0, 0.0], [30.0, 10.0, 20.0], [-25.0, 5.0, -15.0]])


def shown(tissue, count=18):
    signals = np.full((2, count), 0.0)
    signals[:, tissue] = 200
    return TissueTable(tuple(map(str, range(count))), tuple((i,) for i in range(count)), signals, np.ones(2) / 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A leg, a cylinder of tissue 1 with balls of tissue 4 and 5, as the command ``knees`` writes it."""
    place = tmp_path_factory.mktemp("maps")
    size = np.ceil(2 * HALF_MM / VOXEL_MM).astype(int)
    x, y, z = (n * VOXEL_MM - h for n, h in zip(np.ogrid[tuple(map(slice, size))], HALF_MM, strict=True))
    tissues = np.broadcast_to((np.hypot(x, y) < 55), tuple(size)).astype(np.uint8)
    for number, ball in ((4, PLACES[1]), (5, PLACES[2])):
        tissues[(x - ball[0]) ** 2 + (y - ball[1]) ** 2 + (z - ball[2]) ** 2 < 81] = number
    write_knee(place / "leg_0007.nii.gz", tissues, NAMES, PLACES)
    (place / SCENE_FILE).write_text(json.dumps(knee_scene()), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def leg(folder):
    return load_simulated_anatomy(folder, [7], NAMES)


def test_label_maps_are_read_by_number_with_their_landmarks(folder, leg):
    assert sorted(find_label_maps(folder)) == [7]
    assert leg.landmarks_mm[0].numpy() == pytest.approx(PLACES, abs=1e-3)
    voxel = leg.voxel_from_head[0, :, :3] @ leg.landmarks_mm[0, 1] + leg.voxel_from_head[0, :, 3]
    assert leg.tissues[(0, *voxel.round().int().tolist())] == 4


def test_a_ball_is_seen_where_its_landmark_is(leg, monkeypatch):
    monkeypatch.setattr(render, "add_scanner_effects", lambda s, *_: (s, torch.ones(s.shape, dtype=torch.bool)))
    monkeypatch.setattr("LandmarkTrainingLib.core.simulator.scenes.tissue_table.ANY_SHARE", 0.0)
    bright = replace(leg, scene=replace(leg.scene, table=shown(4), other_limb=None))
    settings = SliceSettings(thickness_mm=(2.0, 2.1), limits=PoseLimits())
    batch = simulate_batch(bright, MIRROR, 120, (4,), settings)
    grid = torch.stack(torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij"))
    signal = (batch.images - 60).clamp_min(0)
    middle = torch.einsum("bhw,chw->bc", signal, grid) / signal.sum((1, 2))[:, None]
    # A flipped leg shows the ball of the right under the name of the left; sagittal slices show the middle of both.
    across = (batch.planes > 0)[:, None]
    near = (batch.depths_mm[:, 1:].abs() < 4) & batch.visible[:, 1:] & across & (signal.sum((1, 2)) > 1000)[:, None]
    error = (batch.points[:, 1:] - middle[:, None]).norm(dim=-1)
    best = torch.where(near, error, torch.inf).amin(1)
    best = best[torch.isfinite(best)]
    assert len(best) >= 5 and (best < 1.0).float().mean() > 0.8


def test_the_other_limb_is_in_view_at_its_distance(leg, monkeypatch):
    monkeypatch.setattr(render, "add_scanner_effects", lambda s, *_: (s, torch.ones(s.shape, dtype=torch.bool)))
    rigid = PoseLimits(0.0, 0.0, (0.0, 0.0), 0.0, 0.0, 0.0)
    settings = SliceSettings(matrix=200, limits=rigid, center_jitter_mm=0.0, upright_share=0.0)
    table = shown(1)
    areas = []
    for limb in (None, OtherLimb(1.0, (150.0, 150.1))):
        scene = replace(leg.scene, table=table, other_limb=limb)
        batch = simulate_batch(replace(leg, scene=scene), MIRROR, 24, (5,), settings)
        axial = batch.planes == 2
        areas.append((batch.images[axial] > 20).float().sum((1, 2)))
    assert (areas[1] / areas[0]).median() == pytest.approx(2.0, abs=0.1)


def test_an_other_limb_is_the_mirror_image():
    ((number, matrix, offset),) = OtherLimb(1.0, (150.0, 150.1)).random_maps(np.random.default_rng(1), 1)
    assert number == 0 and torch.linalg.det(matrix) == pytest.approx(-1, abs=1e-5)
    assert (matrix @ torch.tensor([-150.0, 0.0, 0.0]) + offset).norm() < 60


def test_a_scene_survives_being_written(folder):
    scene = read_scene(folder)
    assert isinstance(scene, Scene) and scene.origin == "EMINENCE"
    assert scene.fields.usual_mm == (140.0, 300.0) and scene.other_limb.share == 0.25
    own, again = knee_table(), scene.table
    assert again.names == own.names and again.likenesses == own.likenesses and again.varied == own.varied
    assert np.array_equal(again.sequences, own.sequences)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"origin": None, "center_mm": "x"},
        {"varied": {"tissues": ["bone"], "share": 1}},
        {"extent": {"tissues": ["bone"], "landmarks": ["A", "B", "C", "D"], "within_mm": 5}},
        {"extent": {"tissues": ["marrow"], "landmarks": ["A", "B"], "within_mm": 5}},
    ],
)
def test_a_damaged_scene_is_refused(tmp_path, change):
    (tmp_path / SCENE_FILE).write_text(json.dumps(knee_scene() | change), encoding="utf-8")
    with pytest.raises(InputError, match="not a scene"):
        read_scene(tmp_path)


def test_an_extent_is_the_hull_of_its_landmarks_grown_on_every_side():
    corners = [[x, y, z] for x in (-10, 10) for y in (-10, 10) for z in (-10, 10)]
    landmarks = {str(i): np.array(corner, dtype=float) for i, corner in enumerate(corners)}
    extent = Extent((1,), (*landmarks, "ABSENT", "UNKNOWN"), 5.0)
    landmarks["UNKNOWN"] = np.full(3, np.nan)
    points = np.array([[0, 0, 14.9], [0, 0, 15.1], [14.9, -14.9, 14.9], [-15.1, 0, 0]])
    assert extent.holds(points, landmarks).tolist() == [True, False, True, False]


def test_the_extent_of_the_knee_ends_where_the_shafts_begin():
    scene = scene_from_dict(knee_scene())
    names = load_protocol("KneeSagittal").constellation.names
    places = dict(zip(names, load_protocol("KneeSagittal").constellation.joint.reference_mm, strict=True))
    shafts = np.array([places[name] for name in ("FEMUR_SHAFT_HIGH", "TIBIA_SHAFT")])
    rim = np.array([places["PATELLA_BACK"] + [side * 22, 6, 0] for side in (-1, 1)])
    assert not scene.extent.holds(shafts, places).any() and scene.extent.holds(rim, places).all()


def test_a_signal_for_each_tissue_is_required():
    data = knee_scene()
    data["sequences"][0]["signals"].pop()
    with pytest.raises(ValueError):
        scene_from_dict(data)


def test_contrasts_are_finite_and_muscles_look_alike():
    table = knee_table()
    contrasts = [table.random_contrast(np.random.default_rng(seed)) for seed in range(200)]
    mean = np.array([contrast.mean for contrast in contrasts])
    muscle, quadriceps = table.names.index("muscle"), table.names.index("quadriceps")
    assert (mean >= 0).all() and (mean[:, 0] <= 8).all()
    assert np.abs(np.log(mean[:, quadriceps] / mean[:, muscle])).max() < 0.25
    marrow = mean[:, table.names.index("marrow")]
    assert ((mean[:, muscle] / marrow < 0.5).mean()) > 0.2  # as in fast localizers


def test_effects_of_heads_are_refused_for_other_anatomies(folder):
    with pytest.raises(UsageError, match="lesions"):
        load_simulated_anatomy(folder, [7], NAMES, effects=SimulationEffects(lesions=0.2, coil_shading=0.5))
    with pytest.raises(UsageError, match="corrected_targets"):
        load_simulated_anatomy(folder, [7], NAMES, corrected=True)


def test_a_number_without_a_label_map_is_refused(folder):
    with pytest.raises(InputError, match="no label map 3"):
        load_simulated_anatomy(folder, [3], NAMES)


def test_fields_of_view_have_the_sides_of_the_anatomy():
    images = torch.ones(60, 128, 128)
    fields = FieldsOfView(usual_mm=(100.0, 120.0), small_share=0.0, folded_share=0.0)
    _, inside = limit_field_of_view(images, np.random.default_rng(0), 2.0, fields)
    sides = inside.any(2).sum(1) * 2.0
    assert sides.min() >= 98 and sides.max() <= 122
