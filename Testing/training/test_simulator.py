from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import IN_PLANE_AXES
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
from LandmarkTrainingLib.core.simulator import render, slice_planes, volume_heads
from LandmarkTrainingLib.core.simulator.effects import scanner_effects
from LandmarkTrainingLib.core.simulator.label_heads import head_frame
from LandmarkTrainingLib.core.simulator.pose import BRAIN_CENTER_MM, PoseLimits, random_poses
from LandmarkTrainingLib.core.simulator.render import simulate_batch, simulate_study
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings, study_planes
from LandmarkTrainingLib.core.simulator.tissues import CLASS_LABELS, CLASSES, random_contrast, tissue_lookup
from LandmarkTrainingLib.core.simulator.volume_heads import VolumeHead, simulate_volume_batch
from toy_heads import BALL_CLASS, BALL_MM, MIRROR, NAMES, RIGID, bright, toy_heads

CPU = torch.device("cpu")
RIGID_SLICES = SliceSettings(matrix=96, thickness_mm=(2.0, 2.1), profile_samples=2, limits=RIGID)
GEOMETRY = ScoutGeometry(slices=5, slice_spacing_mm=10.0, thickness_mm=2.0)


@pytest.fixture(scope="module")
def heads():
    return toy_heads()


@pytest.fixture
def clean(monkeypatch):
    """Only chosen tissue is bright and the scanner adds nothing; call with classes before rendering."""
    monkeypatch.setattr(render, "add_scanner_effects", lambda s, *_: (s, torch.ones(s.shape, dtype=torch.bool)))

    def show(*classes):
        monkeypatch.setattr(render, "random_contrast", lambda rng: bright(*classes))

    return show


def centroids(images):
    """(b, 2) (row, column) of the bright pixels; NaN on dark images."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(float(n)) for n in images.shape[-2:]], indexing="ij"))
    total = images.sum((1, 2))
    center = torch.einsum("bhw,chw->bc", images, grid) / total[:, None]
    return torch.where(total[:, None] > 2000, center, torch.nan).numpy()


def rendered(heads, clean, name, settings=RIGID_SLICES, count=160, seed=(3,)):
    clean(BALL_CLASS[name])
    batch = simulate_batch(heads, MIRROR, count, seed, settings)
    return batch, centroids(batch.images)


def near(batch, name, limit_mm=0.6 * BALL_MM):
    index = NAMES.index(name)
    return (batch.visible[:, index] & (batch.depths_mm[:, index].abs() < limit_mm)).numpy()


@pytest.mark.parametrize(
    "limits",
    [RIGID, replace(RIGID, log_scale=(-0.16, 0.13)), replace(RIGID, anisotropy=0.06, shear=0.02), PoseLimits()],
    ids=["rigid", "scaled", "sheared", "warped"],
)
def test_the_landmark_lies_where_its_ball_is_seen(heads, clean, limits):
    batch, seen = rendered(heads, clean, "MIDDLE", replace(RIGID_SLICES, limits=limits))
    # Off its middle a sheared ball's cut lies beside the projection.
    used = near(batch, "MIDDLE", 0.35 * BALL_MM)
    error = seen[used] - batch.points[:, 0].numpy()[used]
    assert used.sum() >= 5 and len(set(batch.planes.numpy()[used])) >= 2
    assert np.isfinite(error).all() and np.abs(error).max() < 1.0
    assert np.abs(error.mean(axis=0)).max() < 0.25


def test_a_ball_further_off_than_its_radius_is_not_seen(heads, clean):
    batch, seen = rendered(heads, clean, "MIDDLE")
    far = (batch.depths_mm[:, 0].abs() > BALL_MM + 2.5).numpy()
    assert far.sum() > 10 and np.isnan(seen[far]).all()


def test_depth_is_measured_along_the_normal(heads, clean):
    """The ball's cut is widest where the depth is zero and narrows alike on both sides."""
    clean(BALL_CLASS["MIDDLE"])
    batch = simulate_batch(heads, MIRROR, 160, (5,), RIGID_SLICES)
    depth, area = batch.depths_mm[:, 0].numpy(), batch.images.sum((1, 2)).numpy() / 200 * RIGID_SLICES.pixel_mm**2
    used = batch.visible[:, 0].numpy() & (np.abs(depth) < 0.8 * BALL_MM)
    expected = np.pi * (BALL_MM**2 - depth[used] ** 2)
    assert (depth[used] > 2).any() and (depth[used] < -2).any()
    assert area[used] == pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize("name", ["LEFT", "RIGHT"])
def test_a_flipped_head_exchanges_the_names(heads, clean, name):
    """Where the ball of the other side is seen at the landmark's place, left and right were exchanged."""
    other = NAMES[MIRROR[NAMES.index(name)]]
    batch, own = rendered(heads, clean, name)
    _, swapped = rendered(heads, clean, other)
    used = near(batch, name) & (batch.planes.numpy() > 0)
    place = batch.points[:, NAMES.index(name)].numpy()[used]
    hits = [np.linalg.norm(seen[used] - place, axis=1) < 1.0 for seen in (own, swapped)]
    assert (hits[0] ^ hits[1]).all()
    assert hits[0].sum() > 3 and hits[1].sum() > 3


def test_right_lies_on_the_right(heads, clean):
    clean(0)
    batch = simulate_batch(heads, MIRROR, 60, (6,), RIGID_SLICES)
    across = batch.planes > 0
    left, right = (batch.points[across, NAMES.index(name), 1] for name in ("LEFT", "RIGHT"))
    assert (right > left + 5).all()


def test_a_sagittal_slice_shows_both_of_a_pair_at_their_middle(heads, clean):
    clean(0)
    batch = simulate_batch(heads, MIRROR, 60, (7,), RIGID_SLICES)
    sagittal, left, right = batch.planes == 0, NAMES.index("LEFT"), NAMES.index("RIGHT")
    assert torch.equal(batch.points[sagittal, left], batch.points[sagittal, right])
    assert torch.equal(batch.depths_mm[sagittal, left], batch.depths_mm[sagittal, right])
    assert not torch.isclose(batch.points[~sagittal, left], batch.points[~sagittal, right]).all(-1).any()


def test_a_sagittal_slice_shows_the_nearer_of_a_pair_where_that_is_learnt(heads, clean):
    clean(0)
    study = simulate_study(heads, MIRROR, GEOMETRY, (8,), RIGID_SLICES)
    flat = torch.ones(study.images.shape, dtype=torch.bool)
    points, settings = study.landmarks_mm.expand(len(flat), -1, -1), replace(RIGID_SLICES, sagittal_pairs="nearest")
    batch = render.project_landmarks(study.images, flat, study.planes, points, MIRROR, settings)
    left, right = NAMES.index("LEFT"), NAMES.index("RIGHT")
    for number in np.flatnonzero(study.planes.planes == 0):
        away = study.landmarks_mm[[left, right], 0] - study.planes.center[number, 0]
        nearer = study.landmarks_mm[[left, right]][away.abs().argmin()]
        expected = nearer[[2, 1]] / settings.pixel_mm + (settings.matrix - 1) / 2
        for name in (left, right):
            assert batch.points[number, name].numpy() == pytest.approx(expected.numpy(), abs=1e-3)
            assert abs(float(batch.depths_mm[number, name])) == pytest.approx(float(away.abs().min()), abs=1e-3)


def test_the_middle_of_a_pair_is_the_mean_of_where_both_lie(heads, clean):
    clean(0)
    study = simulate_study(heads, MIRROR, GEOMETRY, (8,), RIGID_SLICES)
    flat = torch.ones(study.images.shape, dtype=torch.bool)
    points = study.landmarks_mm.expand(len(flat), -1, -1)
    batch = render.project_landmarks(study.images, flat, study.planes, points, MIRROR, RIGID_SLICES)
    middle = (study.landmarks_mm[1] + study.landmarks_mm[2]) / 2
    first = batch.points[0, 1].numpy()
    expected = (middle[[2, 1]] / RIGID_SLICES.pixel_mm + (RIGID_SLICES.matrix - 1) / 2).numpy()
    assert first == pytest.approx(expected, abs=1e-3)
    assert batch.depths_mm[0, 1] == pytest.approx(float(middle[0] - study.planes.center[0, 0]), abs=1e-3)


def test_an_unknown_landmark_stays_unknown(heads):
    batch = simulate_batch(heads, MIRROR, 12, (9,), SliceSettings())
    lost = NAMES.index("LOST")
    assert torch.isnan(batch.points[:, lost]).all() and not batch.visible[:, lost].any()
    assert not batch.known[:, lost].any() and batch.known[:, :lost].all()


def test_a_landmark_outside_the_image_is_known_but_not_visible(heads):
    small = SliceSettings(matrix=16)
    batch = simulate_batch(heads, MIRROR, 40, (10,), small)
    outside = (batch.points[:, 0] < -0.5).any(1) | (batch.points[:, 0] > 15.5).any(1)
    assert outside.any() and not batch.visible[outside, 0].any() and batch.known[:, 0].all()


def test_the_same_seed_gives_the_same_batch_and_another_one_another(heads):
    one, again, other = (simulate_batch(heads, MIRROR, 6, (1, n), SliceSettings()) for n in (4, 4, 5))
    for name, value in vars(one).items():
        assert torch.equal(value.nan_to_num(-1), getattr(again, name).nan_to_num(-1))
    assert not torch.equal(one.images, other.images)


def test_every_slice_is_finite_within_its_range_and_has_contrast():
    batch = simulate_batch(toy_heads(4.0, 2), MIRROR, 60, (11,), SliceSettings())
    assert batch.images.dtype == torch.float32 and torch.isfinite(batch.images).all()
    assert batch.images.min() == 0 and 1 <= batch.images.max() <= 1.2 + 1e-6
    assert (batch.images.std(dim=(1, 2)) > 0.02).all()
    assert set(batch.planes.tolist()) == {0, 1, 2}


def test_poses_are_inverted_to_a_tenth_of_a_millimetre():
    poses = random_poses(np.random.default_rng(0), 200, PoseLimits(), CPU)
    points = torch.from_numpy(np.random.default_rng(1).uniform(-80, 80, (200, 30, 3))).float()
    error = (poses.to_head(poses.to_scanner(points)) - points).norm(dim=-1)
    assert error.max() < 0.1


def test_a_rigid_pose_keeps_distances_and_a_limit_is_kept():
    poses = random_poses(np.random.default_rng(0), 50, replace(RIGID, rotation_deg=10.0, shift_mm=7.0), CPU)
    points = torch.from_numpy(np.array([BRAIN_CENTER_MM, BRAIN_CENTER_MM + [0, 0, 50.0]])).float().expand(50, 2, 3)
    moved = poses.to_scanner(points).numpy()
    assert np.abs(moved[:, 0]).max() <= 7.001
    assert np.linalg.norm(moved[:, 1] - moved[:, 0], axis=1) == pytest.approx(50, abs=1e-3)
    turned = np.rad2deg(np.arccos((moved[:, 1] - moved[:, 0])[:, 2] / 50))
    assert 5 < turned.max() < 15


def test_a_study_shows_one_head_in_one_pose(heads, clean):
    """The ball is seen at the projection of one and the same point in every slice that cuts it."""
    clean(BALL_CLASS["MIDDLE"])
    dense = ScoutGeometry(slices=13, slice_spacing_mm=6.0, thickness_mm=2.0)
    study = simulate_study(heads, MIRROR, dense, (12,), SliceSettings(limits=PoseLimits(shift_mm=5.0)))
    point, planes = study.landmarks_mm[0], study.planes
    seen = centroids(study.images)
    offset = point - planes.center
    depth = (offset * planes.normal).sum(1)
    used = (depth.abs() < 0.6 * BALL_MM).numpy()
    expected = torch.stack([(offset * planes.row_axis).sum(1), (offset * planes.column_axis).sum(1)], 1) / 2.0 + 63.5
    assert used.sum() >= 3
    assert np.abs(seen[used] - expected.numpy()[used]).max() < 1.0


def test_study_planes_run_plane_by_plane_through_the_isocentre():
    planes = study_planes(GEOMETRY, CPU)
    assert planes.planes.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    for index in range(len(PLANES)):
        centers = planes.center[5 * index : 5 * index + 5].numpy()
        assert centers[:, index] == pytest.approx([-20, -10, 0, 10, 20])
        assert np.delete(centers, index, axis=1) == pytest.approx(0)


@pytest.mark.usefixtures("clean")
def test_a_volume_shows_its_landmarks_where_its_balls_are(heads, monkeypatch):
    monkeypatch.setattr(volume_heads, "add_scanner_effects", render.add_scanner_effects)
    monkeypatch.setattr(volume_heads, "REDRAWN_SHARE", 0.0)
    shown = (heads.tissues[0] == BALL_CLASS["MIDDLE"]).float()
    head = VolumeHead("A", 200 * shown, heads.voxel_from_head[0], heads.landmarks_mm[0])
    batch = simulate_volume_batch([head], MIRROR, 160, (13,), RIGID_SLICES)
    used = near(batch, "MIDDLE")
    assert used.sum() >= 8
    assert np.abs(centroids(batch.images)[used] - batch.points[:, 0].numpy()[used]).max() < 0.8
    assert torch.isnan(batch.points[:, NAMES.index("LOST")]).all()


def test_the_head_frame_stands_on_ac_and_pc():
    turn = Rotation.from_euler("XYZ", [20, -30, 15], degrees=True).as_matrix()
    head = {"AC": [0, 0, 0], "PC": [0, -26, 0], "RLVAC": [17, 2, 27], "LLVAC": [-17, 2, 27]}
    points = {name: turn @ np.array(place, dtype=float) + 40 for name, place in head.items()}
    origin, axes = head_frame(points)
    assert origin == pytest.approx(points["AC"])
    assert (points["RLVAC"] - origin) @ axes.T == pytest.approx(head["RLVAC"])


def test_every_label_has_one_class_and_unknown_labels_are_soft_tissue():
    lookup = tissue_lookup()
    listed = [number for labels in CLASS_LABELS for number in labels]
    assert len(listed) == len(set(listed)) and len(CLASS_LABELS) == CLASSES
    assert lookup[41] == lookup[2] and lookup[53] == lookup[17] and lookup[0] == 0
    assert lookup[999] == lookup[507] != 0


def test_contrasts_differ_and_are_possible():
    contrasts = [random_contrast(np.random.default_rng(seed)) for seed in range(100)]
    mean, sd = (np.array([getattr(c, name) for c in contrasts]) for name in ("mean", "sd"))
    assert mean.shape == (100, CLASSES) and (mean >= 0).all() and (sd >= 0).all() and (mean[:, 0] <= 20).all()
    csf_bright = (mean[:, 1] > mean[:, 2]).mean()
    assert 0.2 < csf_bright < 0.8


class Fixed:
    """A random generator whose draws are given: a fraction of the way from low to high, a chance, the least integer."""

    def __init__(self, fraction=0.5, chance=0.0):
        self.fraction, self.chance = fraction, chance

    def uniform(self, low, high, size=None):
        return low + self.fraction * (high - low) if size is None else np.full(size, low + self.fraction * (high - low))

    def random(self, size=None):
        return self.chance if size is None else np.full(size, self.chance)

    def integers(self, low, high=None):
        return 0 if high is None else low


def step_image(size=64):
    image = torch.zeros(2, size, size)
    image[:, 20:44, 16:40] = 1.0
    return image


def test_shading_is_a_smooth_gain_that_leaves_darkness_dark():
    image = step_image()
    shaded = scanner_effects.shade(image, np.random.default_rng(1))
    gain = shaded[image > 0]
    assert (shaded[image == 0] == 0).all() and gain.std() > 0.01
    inside = shaded[0, 20:44, 16:40]
    assert (inside[1:] / inside[:-1] - 1).abs().max() < 0.1


def test_metal_leaves_a_hole_with_a_bright_rim():
    flat = torch.ones(1, 128, 128)
    hole = scanner_effects.void_by_metal(flat, Fixed(chance=0.0), 2.0)
    assert hole[0, 63:65, 63:65].max() < 0.01 and hole.max() > 1.3
    assert hole[0, :10].sub(1).abs().max() < 1e-3
    assert torch.equal(scanner_effects.void_by_metal(flat, Fixed(chance=0.5), 2.0), flat)


def test_cutting_k_space_rings_beside_an_edge_and_blurring_does_not():
    image = step_image()
    ringing = scanner_effects.filter_k_space(image, SimpleRandom(blur=0.0, cut=0.5))
    blurred = scanner_effects.filter_k_space(image, SimpleRandom(blur=0.9, cut=None))
    plain = scanner_effects.filter_k_space(image, SimpleRandom(blur=0.0, cut=None))
    assert plain == pytest.approx(image, abs=1e-5)
    assert ringing.max() > 1.05 and ringing[0, 32, 44:52].max() > 0.02
    assert blurred.max() < 1.001 and 0.2 < blurred[0, 32, 16] < 0.95 and blurred[0, 32, 44:52].max() < 1e-3
    assert blurred.sum() == pytest.approx(float(image.sum()), rel=1e-3)


class SimpleRandom:
    """Draws of filter_k_space: blur in pixels, and the part of k-space that is kept (None: all)."""

    def __init__(self, blur, cut):
        self.values, self.chances = [blur, cut or 1.0], [0.0, 0.0 if cut else 1.0]

    def uniform(self, _low, _high, size):
        return np.full(size, self.values.pop(0))

    def random(self, size):
        return np.full(size, self.chances.pop(0))


def test_a_ghost_is_a_faint_copy_shifted_along_one_axis():
    image = step_image()
    ghosted = scanner_effects.ghost(image, Fixed(chance=0.0))
    added = ghosted - image
    assert added.max() == pytest.approx(0.09, abs=0.06) and added.min() >= 0
    assert added.sum() == pytest.approx(float(added.max() * image.sum()), rel=1e-4)
    assert torch.equal(scanner_effects.ghost(image, Fixed(chance=0.5)), image)


def test_nothing_is_seen_outside_the_field_of_view():
    flat = torch.ones(20, 128, 160)
    seen, field = scanner_effects.limit_field_of_view(flat, np.random.default_rng(0), 2.0)
    assert seen.shape == flat.shape and field.dtype == torch.bool
    assert (seen[~field] == 0).all() and (seen[field] >= 1).all()
    rows, columns = field.any(2).sum(1) * 2.0, field.any(1).sum(1) * 2.0
    assert rows.min() >= 118 and rows.max() <= 256 and columns.min() >= 118 and columns.max() <= 302


def folding_rng(images):
    """A generator whose first image folds."""
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        _, field = scanner_effects.limit_field_of_view(torch.ones(images.shape), rng, 2.0)
        rows, columns = field[0].any(1).sum() * 2, field[0].any(0).sum() * 2
        if rows < 202 and columns > 212:  # a small field of view is small both ways
            return np.random.default_rng(seed)
    raise AssertionError("no seed folds")


def test_what_lies_within_the_field_of_view_does_not_fold():
    image = torch.zeros(1, 128, 128)
    image[0, 40:88, 40:88] = 1.0
    seen, _ = scanner_effects.limit_field_of_view(image, folding_rng(image), 2.0)
    assert torch.equal(seen, image)


def test_what_lies_outside_the_field_of_view_folds_in_from_the_other_side():
    image = torch.zeros(1, 128, 128)
    image[0, 4:8, 60:68] = 1.0
    seen, field = scanner_effects.limit_field_of_view(image, folding_rng(image), 2.0)
    rows = int(field[0].any(1).sum())
    folded = np.flatnonzero(seen[0].any(1).numpy())
    assert seen.sum() == image.sum()
    assert np.abs(folded - (np.arange(4, 8) + rows)).max() <= 1


@pytest.mark.parametrize(
    ("level", "mean", "sd"), [(0.0, np.sqrt(np.pi / 2), np.sqrt(2 - np.pi / 2)), (10.0, 10.05, 1.0)]
)
def test_noise_is_rician(level, mean, sd):
    """In air the magnitude of complex noise is Rayleigh distributed, in bright tissue nearly Gaussian."""
    sigma = 0.06
    generator = torch.Generator().manual_seed(0)
    noisy = scanner_effects.add_rician_noise(
        torch.full((1, 300, 300), level * sigma), Fixed(fraction=1.0, chance=1.0), generator
    )
    assert float(noisy.mean()) == pytest.approx(mean * sigma, rel=0.02)
    assert float(noisy.std()) == pytest.approx(sd * sigma, rel=0.02)


def test_normalising_takes_percentiles_within_the_field_of_view():
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 40 + 100
    field = torch.zeros(3, 64, 64, dtype=torch.bool)
    field[:, 10:54, 10:54] = True
    scaled = scanner_effects.normalise(image * field, field)
    assert (scaled[~field] == 0).all()
    inside = scaled[:, 10:54, 10:54].flatten(1)
    assert torch.quantile(inside, 0.01, dim=1).numpy() == pytest.approx(0.0, abs=0.02)
    assert torch.quantile(inside, 0.995, dim=1).numpy() == pytest.approx(1.0, abs=0.02)
    brighter = scanner_effects.normalise(image * field * 7 + 50 * field, field)
    assert brighter == pytest.approx(scaled, abs=1e-3)


def test_a_flat_image_is_normalised_without_blowing_up():
    flat = scanner_effects.normalise(torch.full((1, 32, 32), 3.0), torch.ones(1, 32, 32, dtype=torch.bool))
    assert torch.isfinite(flat).all()


def test_all_effects_together_change_the_image_and_keep_its_shape():
    image = torch.rand(40, 96, 96, generator=torch.Generator().manual_seed(1)) * 200
    noise = torch.Generator().manual_seed(2)
    seen, field = scanner_effects.add_scanner_effects(image, np.random.default_rng(3), noise, 2.0)
    assert seen.shape == image.shape == field.shape and torch.isfinite(seen).all()
    assert seen.min() >= 0 and seen.max() <= 1.2 + 1e-6


def test_half_of_the_slices_show_the_head_upright_as_the_second_look_does():
    settings = SliceSettings(limits=replace(RIGID, rotation_deg=20.0), upright_share=0.5, upright_sd_deg=3.0)
    rng = np.random.default_rng(2)
    poses = random_poses(rng, 4000, settings.limits, CPU)
    planes = slice_planes.random_planes(rng, poses, settings)
    angles = np.degrees(slice_planes._upright_angles(planes, poses))
    turned_axes = torch.eye(3)[[IN_PLANE_AXES[PLANES[p]][0] for p in planes.planes]]
    as_scanned = ((planes.column_axis - turned_axes).norm(dim=1) < 1e-6).numpy()
    assert as_scanned.mean() == pytest.approx(0.5, abs=0.03)
    assert angles[~as_scanned].std() == pytest.approx(3.0, rel=0.1)
    assert angles[as_scanned].std() > 9
    basis = torch.stack([planes.column_axis, planes.row_axis, planes.normal], dim=1)
    assert (basis @ basis.transpose(1, 2)).numpy() == pytest.approx(np.tile(np.eye(3), (4000, 1, 1)), abs=1e-5)


def test_redrawn_greys_keep_air_dark_and_alike_tissue_alike():
    image = torch.zeros(400, 8, 8)
    image[:, :4], image[:, 4:, :4] = 0.35, 0.8
    drawn = volume_heads.redrawn(image, np.random.default_rng(0))
    changed = (drawn != image).flatten(1).any(1)
    assert changed.float().mean() == pytest.approx(volume_heads.REDRAWN_SHARE, abs=0.06)
    assert (drawn[:, 4:, 4:] == 0).all()
    assert (drawn[:, :4].flatten(1).std(1) < 1e-5).all() and (drawn[:, 4:, :4].flatten(1).std(1) < 1e-5).all()
    order = drawn[changed][:, 0, 0] > drawn[changed][:, 5, 0]
    assert 0.2 < order.float().mean() < 0.8, "bright and dark are exchanged now and then"


def test_every_person_is_drawn_equally_often_however_many_volumes_there_are_of_them():
    empty = (torch.zeros(2, 2, 2), torch.zeros(3, 4), torch.zeros(0, 3))
    heads = [VolumeHead(who, *empty) for who in ("A", "B", "B", "B")]
    drawn = volume_heads._one_per_slice(heads, 2000, np.random.default_rng(1))
    assert np.mean([head.subject == "A" for head in drawn]) == pytest.approx(0.5, abs=0.04)
    assert {id(head) for head in drawn} == {id(head) for head in heads}
