from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from AutoVolumeCalibrationLib.core.errors import UsageError
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.slices.augmentation import Augmentation, augmented
from LandmarkTrainingLib.core.slices.in_plane_poses import LARGEST_ELASTIC_MM, random_in_plane_poses
from LandmarkTrainingLib.core.slices.study_slices import StudySlices

GRID = SliceSettings(matrix=64, pixel_mm=4.0)
MIRROR = np.array([0, 2, 1])
SPOT_PIXELS = 1.6

#: Strong, but the spots stay in view and round.
STRONG = {"rotation_deg": 30.0, "scale": 0.2, "shear": 0.1, "shift_mm": 20.0, "elastic_mm": 4.0}


def only(**values):
    """These variations and no other."""
    return Augmentation(**{**asdict(Augmentation.none()), **values})


def spots(points, margin=0):
    """(n, side, side) images with a Gaussian spot at (row, column) pixels (n, 2) of the grid."""
    steps = torch.arange(64.0 + 2 * margin) - margin
    row, column = (torch.exp(-((steps - points[:, i, None]) ** 2) / (2 * SPOT_PIXELS**2)) for i in range(2))
    return row[:, :, None] * column[:, None, :]


def spot_slices(count=30, margin=0, seed=0, reach=14.0):
    """Slices of all planes with a spot at the first landmark, or at the second in every other one."""
    generator = torch.Generator().manual_seed(seed)
    points = 31.5 + (2 * torch.rand((count, 3, 2), generator=generator) - 1) * reach
    depths = 20 * torch.randn((count, 3), generator=generator)
    planes = torch.arange(count) % 3
    points[planes == 0, 2], depths[planes == 0, 2] = points[planes == 0, 1], depths[planes == 0, 1]
    side = 64 + 2 * margin
    limits = torch.tensor([[-margin] * 2, [side - margin] * 2]).repeat(count, 1, 1)
    images = spots(points[torch.arange(count), shown(count)], margin)
    return StudySlices(images, limits, planes, points, depths, torch.zeros(count, dtype=torch.long), 64)


def shown(count):
    """Number of the landmark at which each slice has its spot."""
    return torch.arange(count) // 3 % 2


def varied(slices, augmentation, seed=0):
    return augmented(slices, MIRROR, GRID, augmentation, np.random.default_rng(seed))


def centroids(images):
    """(n, 2) centres of what is bright."""
    bright = (images - 0.1).clamp_min(0)
    steps, total = torch.arange(64.0), bright.sum((1, 2))
    return torch.stack([bright.sum(2) @ steps / total, bright.sum(1) @ steps / total], dim=1)


def as_slices(batch):
    """The slices of a batch as slices to vary."""
    count = len(batch.images)
    limits = torch.tensor([[0, 0], [64, 64]]).repeat(count, 1, 1)
    studies = torch.zeros(count, dtype=torch.long)
    return StudySlices(batch.images, limits, batch.planes, batch.points, batch.depths_mm, studies, 64)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), flip=st.sampled_from([0.0, 1.0]), margin=st.sampled_from([0, 9]))
def test_a_spot_is_where_its_landmark_is_said_to_be(seed, flip, margin):
    slices = spot_slices(margin=margin, seed=seed)
    batch = varied(slices, only(**STRONG, flip=flip), seed)
    index = shown(len(slices))
    renamed = torch.where(slices.planes == 0, index, torch.from_numpy(MIRROR)[index])
    row = renamed if flip else index
    there = batch.points[torch.arange(len(slices)), row]
    inside = ((there > 8) & (there < 55)).all(1)
    assert inside.sum() > 10
    distance = (centroids(batch.images) - there).norm(dim=1)[inside]
    assert distance.max() < 0.15 and distance.median() < 0.05


def test_points_follow_the_image_to_a_hundredth_of_a_pixel():
    """Images whose values are the row, or the column, tell at every point where it was before."""
    slices = spot_slices(60)
    ramp = torch.arange(64.0).expand(60, 64, 64) / 64
    found, augmentation = [], only(**STRONG)
    for images in (ramp.transpose(1, 2), ramp):
        batch = varied(replace(slices, images=images.contiguous()), augmentation)
        grid = (batch.points * 2 + 1).flip(-1)[:, None] / 64 - 1
        found.append(64 * torch.nn.functional.grid_sample(batch.images[:, None], grid, align_corners=False)[:, 0, 0])
    inside = ((batch.points > 1) & (batch.points < 62)).all(-1)
    assert inside.float().mean() > 0.8
    assert (torch.stack(found, dim=-1) - slices.points)[inside].abs().max() < 0.01


def test_without_any_variation_nothing_changes():
    for margin, tolerance in ((0, 1e-6), (9, 5e-6)):
        slices = spot_slices(margin=margin)
        batch = varied(slices, Augmentation.none())
        middle = slice(margin, margin + 64)
        torch.testing.assert_close(batch.images, slices.images[:, middle, middle], atol=tolerance, rtol=0)
        torch.testing.assert_close(batch.points, slices.points, atol=1e-5, rtol=0)
        assert torch.equal(batch.depths_mm, slices.depths_mm) and batch.visible.all()


def test_a_flip_mirrors_the_image_and_exchanges_left_and_right():
    slices = spot_slices()
    batch = varied(slices, only(flip=1.0))
    sagittal = slices.planes == 0
    torch.testing.assert_close(batch.images[~sagittal], slices.images[~sagittal].flip(-1), atol=1e-6, rtol=0)
    torch.testing.assert_close(batch.images[sagittal], slices.images[sagittal], atol=1e-6, rtol=0)
    torch.testing.assert_close(batch.points[sagittal], slices.points[sagittal], atol=1e-5, rtol=0)
    renamed = slices.points[~sagittal][:, MIRROR]
    expected = torch.stack([renamed[..., 0], 63 - renamed[..., 1]], dim=-1)
    torch.testing.assert_close(batch.points[~sagittal], expected, atol=1e-5, rtol=0)
    assert torch.equal(batch.depths_mm[~sagittal], slices.depths_mm[~sagittal][:, MIRROR])


def test_flipping_twice_gives_the_slices_back():
    slices = spot_slices()
    twice = varied(as_slices(varied(slices, only(flip=1.0))), only(flip=1.0))
    torch.testing.assert_close(twice.images, slices.images, atol=1e-6, rtol=0)
    torch.testing.assert_close(twice.points, slices.points, atol=1e-5, rtol=0)
    assert torch.equal(twice.depths_mm, slices.depths_mm)


def test_flip_is_the_share_of_the_slices_that_are_mirrored():
    slices = spot_slices(240)
    batch = varied(slices, only(flip=0.3))
    moved = (batch.points[:, 0] - slices.points[:, 0]).norm(dim=1) > 1e-3
    assert not moved[slices.planes == 0].any()
    assert float(moved[slices.planes > 0].float().mean()) == pytest.approx(0.3, abs=0.1)


def test_a_larger_head_lies_further_off_the_slice():
    slices = spot_slices()
    batch = varied(slices, only(scale=0.5))
    before, after = (points[:, 0] - points[:, 1] for points in (slices.points, batch.points))
    factor = after.norm(dim=1) / before.norm(dim=1)
    known = factor.isfinite()
    assert factor[known].min() < 0.8 and factor[known].max() > 1.25
    assert (factor[known] <= 1.5 + 1e-4).all() and (factor[known] >= 1 / 1.5 - 1e-4).all()
    torch.testing.assert_close(
        batch.depths_mm[known], slices.depths_mm[known] * factor[known, None], atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize("changes", [{"shift_mm": 90.0}, {"field_of_view": 1.0}, {"rotation_deg": 90.0}])
def test_visible_is_what_can_still_be_seen(changes):
    """Every landmark has a bright block of its own, so that dark at its place means out of view."""
    slices = spot_slices(90, reach=28.0)
    slices.images[:] = 0.5 * torch.rand_like(slices.images)
    for image, points in zip(slices.images, slices.points.round().long(), strict=True):
        for row, column in points:
            image[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = 1.0
    batch = varied(slices, only(**changes))
    nearest = batch.points.round().long()
    inside = ((nearest >= 0) & (nearest < 64)).all(-1)
    row, column = nearest.clamp(0, 63).unbind(-1)
    bright = batch.images[torch.arange(90)[:, None], row, column] > 0.4
    assert 0.1 < batch.visible.float().mean() < 0.99
    assert torch.equal(batch.visible, inside & bright)


def test_what_a_smaller_scanner_field_leaves_out_is_not_visible():
    slices = spot_slices(60, reach=31.0)
    slices.images[:] = 0.5 + 0.5 * torch.rand_like(slices.images)
    batch = varied(slices, only(artefacts=1.0))
    around = torch.nn.functional.max_pool2d(batch.images[:, None], 5, 1, 2)[:, 0]
    row, column = batch.points.round().long().unbind(-1)
    number = torch.arange(60)[:, None]
    assert not batch.images[number, row, column][~batch.visible].any()
    assert (around[number, row, column][batch.visible] > 0).all()
    assert 0.02 < (~batch.visible).float().mean() < 0.5


def test_around_a_small_field_of_view_it_stays_black():
    slices = spot_slices()
    slices.fields[:] = torch.tensor([[10, 5], [50, 60]])
    images = varied(slices, only(artefacts=0.5, noise=1.0)).images
    assert images[:, 10:50, 5:60].flatten(1).any(1).all()
    images[:, 10:50, 5:60] = 0
    assert not images.any()


def test_what_a_wide_slice_has_beyond_the_grid_can_come_into_view():
    slices = spot_slices(60, margin=16, reach=40.0)
    batch = varied(slices, only(shift_mm=60.0))
    outside = ((slices.points < 0) | (slices.points > 63)).any(-1)
    assert (outside & batch.visible)[:, :2].any()


def test_unknown_landmarks_stay_unknown_and_absent_ones_absent():
    slices = spot_slices()
    slices.points[:, 1:], slices.depths_mm[:, 1], slices.depths_mm[:, 2] = torch.nan, torch.nan, torch.inf
    batch = varied(slices, only(**STRONG, flip=1.0, field_of_view=0.5))
    turned = slices.planes > 0
    unknown = torch.where(turned, 2, 1)[:, None]
    absent = 3 - unknown
    assert not batch.known.gather(1, unknown).any() and batch.known.gather(1, absent).all()
    assert not batch.visible[:, 1:].any() and torch.isfinite(batch.points[:, 0]).all()


def test_the_same_seed_gives_the_same_slices_and_another_one_others():
    slices = spot_slices()
    one, same, other = (varied(slices, Augmentation(), seed) for seed in (1, 1, 2))
    for name, tensor in vars(one).items():
        assert torch.equal(getattr(same, name), tensor)
    assert not torch.equal(other.images, one.images) and not torch.equal(other.points, one.points)


@pytest.mark.parametrize("name", ["artefacts", "noise", "gamma", "gain"])
def test_what_changes_the_look_leaves_the_landmarks(name):
    slices = spot_slices()
    batch = varied(slices, only(**{name: 0.5}))
    assert (batch.images - slices.images).abs().amax(dim=(1, 2)).max() > 0.01
    assert batch.images.min() >= 0 and batch.images.max() <= 1.2
    torch.testing.assert_close(batch.points, slices.points, atol=1e-5, rtol=0)


def test_the_originals_stay_as_they_are():
    slices = spot_slices()
    before = [tensor.clone() for tensor in vars(slices).values() if isinstance(tensor, torch.Tensor)]
    varied(slices, Augmentation(flip=1.0, field_of_view=1.0, artefacts=1.0, noise=1.0))
    after = [tensor for tensor in vars(slices).values() if isinstance(tensor, torch.Tensor)]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_slice_that_is_moved_out_of_view_is_black():
    slices = spot_slices(200)
    slices.fields[:] = torch.tensor([[30, 30], [33, 33]])
    batch = varied(slices, Augmentation(shift_mm=200.0, field_of_view=1.0, artefacts=0.5))
    assert torch.isfinite(batch.images).all()
    empty = ~batch.images.flatten(1).any(1)
    assert empty.any() and not batch.visible[empty].any()


def test_the_strongest_deformation_still_has_an_inverse():
    sizes = {"rotation_deg": 180.0, "log_scale": 0.7, "shear": 0.5, "shift_mm": 200.0}
    poses = random_in_plane_poses(
        np.random.default_rng(0), 500, **sizes, elastic_mm=LARGEST_ELASTIC_MM, flip=np.arange(500) % 2 == 0
    )
    points = 250 * torch.rand(500, 20, 2) - 125
    assert (poses.to_head(poses.to_scanner(points)) - points).norm(dim=-1).max() < 0.05


def test_settings_come_from_a_dictionary_over_the_defaults():
    assert Augmentation.from_dict({}) == Augmentation()
    changed = Augmentation.from_dict({"rotation_deg": 5, "flip": 0})
    assert (changed.rotation_deg, changed.flip, changed.scale) == (5, 0, Augmentation().scale)
    assert all(value == 0 for value in asdict(Augmentation.none()).values())


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"rotate": 5.0}, "augmentation: unknown setting rotate. Known: rotation_deg"),
        ({"flip": 1.5}, "augmentation: flip is 1.5. Give a number from 0 to 1"),
        ({"shift_mm": -3}, "shift_mm is -3"),
        ({"elastic_mm": 50.0}, "elastic_mm is 50.0. Give a number from 0 to 6"),
        ({"noise": True}, "noise is True"),
        ({"gamma": "a lot"}, "gamma is 'a lot'"),
        ({"gain": float("nan")}, "gain is nan"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_with_what_would(values, told):
    with pytest.raises(UsageError, match=told):
        Augmentation.from_dict(values)


def test_every_setting_changes_something():
    slices = spot_slices()
    for field in fields(Augmentation):
        batch = varied(slices, only(**{field.name: field.default}))
        assert not torch.allclose(batch.images, slices.images, atol=1e-4), field.name
