"""What clinical scouts show besides a healthy adult in a good coil."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.scouts.volume import Volume
from LandmarkTrainingLib.core.simulator import render
from LandmarkTrainingLib.core.simulator.effects import pathology
from LandmarkTrainingLib.core.simulator.effects.atrophy import CORTEX, FLUID, thin_cortex, thin_landmarks
from LandmarkTrainingLib.core.simulator.effects.children import long_face, short_face, with_children
from LandmarkTrainingLib.core.simulator.effects.coil_shading import LARGEST_LOG_GAIN, shade_by_coil
from LandmarkTrainingLib.core.simulator.effects.effect_settings import SimulationEffects
from LandmarkTrainingLib.core.simulator.effects.scanner_effects import narrow_field
from LandmarkTrainingLib.core.simulator.effects.single_shot import blur_by_decay, single_shot_contrast
from LandmarkTrainingLib.core.simulator.effects.ventricles import FADE_MM, narrow, ventricle_field, widen
from LandmarkTrainingLib.core.simulator.effects.wrapped_nose import wrap_front
from LandmarkTrainingLib.core.simulator.label_heads import with_atrophied_copies
from LandmarkTrainingLib.core.simulator.pose import BRAIN_CENTER_MM, PoseLimits, random_poses
from LandmarkTrainingLib.core.simulator.render import simulate_batch
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from toy_heads import BALL_CLASS, BALL_MM, MIRROR, NAMES, PLACES, RIGID, bright, toy_heads

CPU = torch.device("cpu")
SLICES = SliceSettings(matrix=96, thickness_mm=(2.0, 2.1), profile_samples=2, limits=RIGID)
NO_EFFECT = {entry.name: 0.0 for entry in fields(SimulationEffects)}


def rng(seed=0):
    return np.random.default_rng(seed)


def test_settings_name_what_they_do_not_know():
    assert SimulationEffects.from_dict({"children": 1}).children == 1.0
    for wrong in ({"toddlers": 0.1}, {"children": "often"}, {"children": 1.5}, {"children": True}):
        with pytest.raises(UsageError):
            SimulationEffects.from_dict(wrong)


def test_effects_that_never_occur_change_nothing():
    heads = toy_heads()
    plain = simulate_batch(heads, MIRROR, 4, (1,), SLICES)
    same = simulate_batch(heads, MIRROR, 4, (1,), replace(SLICES, effects=SimulationEffects(**NO_EFFECT)))
    assert torch.equal(plain.images, same.images)


def test_coil_shading_multiplies_by_a_smooth_gain_of_limited_range():
    images = torch.ones(20, 96, 96)
    shaded = shade_by_coil(images, rng(), 1.0, 2.0)
    logs = shaded.log()
    assert logs.abs().max() < LARGEST_LOG_GAIN * 1.1
    assert logs.flatten(1).std(dim=1).median() > 0.2
    assert logs.diff(dim=1).abs().max() < 0.25
    assert torch.equal(shade_by_coil(images, rng(), 0.0, 2.0), images)


@pytest.mark.parametrize("plane, axis", [(0, 1), (2, 0)])
def test_the_front_of_the_head_folds_onto_its_back(plane, axis):
    image = torch.zeros(128, 128)
    nose = image.narrow(axis, 123, 5)  # 119-127 mm in front of the middle
    nose[:] = 1.0
    folded, field = wrap_front(image[None].repeat(30, 1, 1), np.full(30, plane), rng(), 1.0, 2.0)
    profile = folded.mean(2 - axis)
    assert (profile[:, :45].max(1).values > 0.4).all()  # behind
    assert (profile[:, 123:] == 0).all() and not field.movedim(1 + axis, 1)[:, 124].any()


def test_coronal_slices_are_not_folded_along_anterior():
    image = torch.rand(3, 64, 64)
    folded, field = wrap_front(image, np.ones(3, int), rng(), 1.0, 2.0)
    assert torch.equal(folded, image) and field.all()


def test_a_single_shot_contrast_has_bright_fluid_and_dark_bone():
    contrasts = [single_shot_contrast(rng(i)) for i in range(20)]
    assert all(c.single_shot and c.mean[1] > c.mean[3] > c.mean[22] for c in contrasts)


def test_decay_blurs_one_axis_and_keeps_the_mean():
    image = torch.zeros(1, 64, 64)
    image[0, 32, 32] = 1.0
    blurred = blur_by_decay(image, np.array([0]), rng(2))
    spread = sorted(int((blurred[0].sum(axis) > 0.02).sum()) for axis in (0, 1))
    assert spread[0] == 1 and spread[1] >= 3
    assert blurred.sum() == pytest.approx(1.0, abs=0.05)


def test_a_narrow_field_is_180_to_210_mm():
    images = torch.ones(20, 128, 128)
    _, field = narrow_field(images, images.bool(), rng(), 1.0, 2.0)
    side = field.any(2).sum(1) * 2
    assert ((side >= 178) & (side <= 212)).all()


def test_children_have_small_heads_about_the_middle_of_the_brain():
    poses = random_poses(rng(), 30, PoseLimits(), CPU)
    chosen = np.arange(30) % 2 == 0
    small = with_children(poses, chosen, rng(1))
    size = torch.linalg.det(small.linear) ** (-1 / 3)
    assert ((size[chosen] >= 0.799) & (size[chosen] <= 0.951)).all()
    assert torch.equal(small.linear[~chosen], poses.linear[~chosen])
    middle = torch.linalg.solve(poses.linear, torch.from_numpy(BRAIN_CENTER_MM).float() - poses.offset)
    again = (small.linear @ middle[..., None])[..., 0] + small.offset
    assert again.numpy() == pytest.approx(np.tile(BRAIN_CENTER_MM, (30, 1)), abs=1e-3)


def test_a_short_face_leaves_the_brain_and_comes_back():
    shortening = torch.tensor([0.5])
    brain = torch.tensor([[[0.0, 65, 7], [34, 0, -40], [-16, -55, -57], [0, -26, 0]]])
    eyes = torch.tensor([[[-32.0, 53, -30], [32, 53, -30]]])
    assert torch.equal(short_face(brain, shortening), brain)
    short = short_face(eyes, shortening)
    assert torch.linalg.norm(short - eyes, dim=-1).min() > 3
    assert torch.allclose(long_face(short, shortening), eyes, atol=1e-4)


@pytest.fixture(scope="module")
def ventricles():
    """A ventricle of 8 x 50 x 12 mm on each side of a head's midline, 1 mm voxels, and the field round it."""
    index = np.stack(np.meshgrid(*[np.arange(140)] * 3, indexing="ij"), -1) - 70
    right, anterior, superior = np.moveaxis(index, -1, 0)
    inside = (np.abs(anterior + 10) <= 25) & (superior >= 14) & (superior <= 26)
    labels = np.zeros((140,) * 3, np.int32)
    labels[inside & (np.abs(right - 10) <= 4)] = 43
    labels[inside & (np.abs(right + 10) <= 4)] = 4
    to_voxel = np.column_stack([np.eye(3), np.full(3, 70.0)])
    return labels, ventricle_field(Volume(labels, np.eye(4)), to_voxel)


@pytest.mark.parametrize("widening", [-1.0, 3.0, 7.0])
def test_wide_ventricles_carry_their_border_and_leave_what_is_far(ventricles, widening):
    labels, field = ventricles
    border, far = torch.tensor([[14.5, -10.0, 20.0]]), torch.tensor([[60.0, -60.0, 50.0]])
    moved = widen(border, field, widening)
    shift = float(moved[0, 0] - border[0, 0])
    assert shift == pytest.approx(widening * np.exp(-max(shift, 0) / FADE_MM), abs=0.3)
    assert torch.allclose(narrow(moved, field, widening), border, atol=0.05)
    assert torch.linalg.norm(widen(far, field, widening) - far) < 0.8
    right = torch.linspace(8, 40, 65)
    across = torch.stack([right, torch.full_like(right, -10.0), torch.full_like(right, 20.0)], dim=1)
    wet = labels[tuple((narrow(across, field, widening).round().long() + 70).T)] > 0
    assert wet[right.numpy() < 14 + shift].all() and not wet[right.numpy() > 15 + shift].any()


def test_unknown_landmarks_stay_unknown_beside_wide_ventricles(ventricles):
    assert widen(torch.full((1, 3), torch.nan), ventricles[1], 5.0).isnan().all()


def test_atrophy_turns_the_outermost_cortex_into_fluid_and_draws_the_extremes_in():
    tissues = np.zeros((20, 20, 20), np.uint8)
    tissues[3:17, 3:17, 3:17] = FLUID
    tissues[5:15, 5:15, 5:15] = CORTEX
    thin = thin_cortex(tissues)
    assert (thin == CORTEX).sum() == 8**3 and (thin == FLUID).sum() == 14**3 - 8**3
    moved = thin_landmarks(np.zeros((3, 3)), ("FRONTAL_L", "VERTEX", "AC"))
    assert moved.tolist() == [[0, -1, 0], [0, 0, -1], [0, 0, 0]]


def test_copies_with_atrophy_are_drawn_only_where_asked_for():
    heads = with_atrophied_copies(toy_heads(count=2))
    assert heads.intact == 2 and len(heads.tissues) == 4
    assert heads.with_atrophy(np.array([0, 1, 1]), np.array([True, False, True])).tolist() == [2, 1, 3]


def test_lesions_replace_white_matter_only_and_resections_leave_air_alone():
    points = torch.from_numpy(rng().uniform(-15, 15, (2000, 3))).float()
    tissue = torch.from_numpy(rng(1).integers(0, 20, 2000))
    signal = torch.full((2000,), 50.0)
    for kind, allowed in (("lesions", {2}), ("resections", set(range(1, 20)))):
        effects = SimulationEffects(**{kind: 1.0})
        for seed in range(10):
            for blob in pathology.random_pathology(rng(seed), bright(1, 2), points.numpy(), effects):
                changed = blob.paint(signal, tissue, points) != signal
                assert set(tissue[changed].tolist()) <= allowed
                assert changed.any() or kind == "lesions"


def test_the_slice_meets_its_tumour():
    heads = toy_heads()
    with_tumour, without = (
        simulate_batch(heads, MIRROR, 24, (4,), replace(SLICES, effects=SimulationEffects(tumours=share)))
        for share in (1.0, 0.0)
    )
    different = (with_tumour.images - without.images).abs().amax((1, 2)) > 0.1
    assert different.float().mean() > 0.6
    assert torch.equal(with_tumour.points.nan_to_num(-1), without.points.nan_to_num(-1))


@pytest.mark.parametrize("effects", [{"children": 1.0}, {"atrophy": 1.0, "lesions": 1.0}], ids=["child", "old"])
def test_the_landmark_lies_where_its_ball_is_seen_in_changed_heads(monkeypatch, effects):
    monkeypatch.setattr(render, "add_scanner_effects", lambda s, *_: (s, torch.ones(s.shape, dtype=torch.bool)))
    monkeypatch.setattr(render, "random_contrast", lambda rng: bright(BALL_CLASS["MIDDLE"]))
    heads = with_atrophied_copies(toy_heads())
    batch = simulate_batch(heads, MIRROR, 80, (3,), replace(SLICES, effects=SimulationEffects(**effects)))
    index = NAMES.index("MIDDLE")
    rows = torch.arange(96.0)
    for i in range(80):
        total = batch.images[i].sum()
        if total < 2000 or batch.depths_mm[i, index].abs() > 0.3 * BALL_MM or not batch.visible[i, index]:
            continue
        seen = torch.stack([batch.images[i].sum(1) @ rows, batch.images[i].sum(0) @ rows]) / total
        assert torch.linalg.norm(seen - batch.points[i, index]) < 1.5
    assert PLACES["MIDDLE"]
