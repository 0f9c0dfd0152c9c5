import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.detection.heatmaps import render_targets
from AutoVolumeCalibrationLib.core.networks.architectures.outputs import PointOutput
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.slices.blending import cut_out, mixup_batch, mixup_losses_batch
from LandmarkTrainingLib.core.slices.targets import Targets
from LandmarkTrainingLib.core.training.training_loss import TrainingLoss

PLANES = torch.tensor([0, 1, 0, 2, 1, 0])


def targets_of(count=6, landmarks=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = 10 + 12 * torch.rand((count, landmarks, 2), generator=generator)
    peak_values = torch.rand((count, landmarks), generator=generator)
    return Targets(
        render_targets(points, peak_values, (32, 32), 2.0), points, peak_values, torch.ones_like(peak_values).bool()
    )


def part(targets, index):
    """The targets of one slice."""
    return Targets(*(tensor[index : index + 1] for tensor in vars(targets).values()))


def coded_images(count=6):
    """(count, 8, 8): each slice is bright at a pixel of its own, so that its share of a blend can be read off."""
    images = torch.zeros(count, 8, 8)
    images[torch.arange(count), torch.arange(count), 0] = 1.0
    return images


def blended(share=1.0, seed=0, planes=PLANES, targets=None):
    targets = targets or targets_of(len(planes))
    images, result = mixup_batch(coded_images(len(planes)), planes, targets, np.random.default_rng(seed), share)
    return images[:, : len(planes), 0], targets, result


def test_image_and_targets_are_blended_alike():
    weights, before, after = blended()
    assert weights.sum(1).tolist() == pytest.approx([1.0] * 6)
    assert ((weights > 0).sum(1) == 2)[PLANES < 2].all()
    for name in ("heatmaps", "peak_values"):
        expected = torch.einsum("ij,j...->i...", weights, getattr(before, name))
        torch.testing.assert_close(getattr(after, name), expected, atol=1e-6, rtol=0)


def test_only_slices_of_one_plane_are_blended():
    for seed in range(20):
        weights, _, _ = blended(seed=seed)
        assert not weights[PLANES[:, None] != PLANES].any()
        assert weights[3, 3] == 1.0


def test_a_blended_point_is_the_centre_of_mass_of_its_heatmap():
    _, _, after = blended()
    steps = torch.arange(32.0)
    mass = after.heatmaps.sum((2, 3))
    center = torch.stack([after.heatmaps.sum(3) @ steps / mass, after.heatmaps.sum(2) @ steps / mass], dim=-1)
    torch.testing.assert_close(after.points, center, atol=0.01, rtol=0)


def test_what_is_unknown_in_one_slice_is_unknown_in_the_blend():
    targets = targets_of(2)
    targets.points[0, 1], targets.peak_values[0, 1], targets.heatmaps[0, 1], targets.known[0, 1] = (
        torch.nan,
        0,
        0,
        False,
    )
    _, _, after = blended(planes=torch.tensor([1, 1]), targets=targets)
    assert after.known.tolist() == [[True, False, True]] * 2
    assert torch.isfinite(after.heatmaps).all() and torch.isfinite(after.peak_values).all()
    assert torch.isfinite(after.points[after.known]).all()


def test_a_landmark_out_of_view_in_one_slice_is_where_the_other_shows_it():
    targets = targets_of(2)
    targets.peak_values[1, 0], targets.points[1, 0] = 0.0, torch.tensor([-400.0, 900.0])
    _, _, after = blended(planes=torch.tensor([1, 1]), targets=targets)
    torch.testing.assert_close(after.points[:, 0], targets.points[[0, 0], 0], atol=1e-3, rtol=0)


def test_share_is_how_many_slices_are_blended():
    planes = torch.zeros(400, dtype=torch.long)
    targets = targets_of(400, 1)
    images = torch.rand(400, 2, 2)
    result, after = mixup_batch(images, planes, targets, np.random.default_rng(0), 0.3)
    untouched = (result == images).flatten(1).all(1)
    assert float(untouched.float().mean()) == pytest.approx(0.7, abs=0.06)
    assert torch.equal(after.points[untouched], targets.points[untouched])


def test_slices_that_are_not_blended_stay_as_they_are_and_keep_what_they_know():
    targets = targets_of()
    targets.known[:3, 0], targets.points[:3, 0], targets.peak_values[:3, 0] = False, torch.nan, 0.0
    images = coded_images()
    result, after = mixup_batch(images, PLANES, targets, np.random.default_rng(0), 0.0)
    assert torch.equal(result, images)
    for name, tensor in vars(targets).items():
        torch.testing.assert_close(getattr(after, name), tensor, atol=0, rtol=0, equal_nan=True)


def test_the_same_generator_blends_alike():
    one, same, other = (blended(seed=seed)[0] for seed in (4, 4, 5))
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1.0])
def test_a_square_of_the_image_is_blanked(share):
    images = torch.ones(50, 40, 60)
    result = cut_out(images, share, np.random.default_rng(0))
    side = min(40, round((share * 2400) ** 0.5))
    assert ((result == 0).sum((1, 2)) == side**2).all() and images.all()
    for image in result:
        rows, columns = (torch.where((image == 0).any(d))[0] for d in (1, 0))
        assert len(rows) == len(columns) == side


def test_only_some_of_the_images_are_blanked():
    result = cut_out(torch.ones(400, 20, 20), 0.01, np.random.default_rng(0), 0.5)
    blanked = (result == 0).sum((1, 2))
    assert set(blanked.tolist()) == {0, 4} and 0.4 < float((blanked > 0).float().mean()) < 0.6


def test_the_losses_of_both_slices_are_blended_instead_of_the_targets():
    before = targets_of()
    images, blend = mixup_losses_batch(coded_images(), PLANES, before, np.random.default_rng(0))
    weights = images[:, : len(PLANES), 0]
    same, _, _ = blended()
    assert torch.equal(weights, same)  # the images are blended as for blended targets
    assert torch.allclose(weights.diagonal(), blend.own)
    prediction = torch.rand(before.heatmaps.shape, generator=torch.Generator().manual_seed(5))
    loss = TrainingLoss(TrainingConfig(losses=({"name": "mse"},)))
    one_by_one = [
        sum(float(weights[i, j]) * float(loss(prediction[i : i + 1], part(before, j))) for j in range(len(PLANES)))
        for i in range(len(PLANES))
    ]
    assert float(loss(prediction, before, blend)) == pytest.approx(sum(one_by_one) / len(PLANES), rel=1e-5)


def test_coordinates_pull_to_both_slices():
    before = targets_of()
    _, blend = mixup_losses_batch(coded_images(), PLANES, before, np.random.default_rng(0))
    loss = TrainingLoss(TrainingConfig(point_losses=({"name": "point_mae"}, {"name": "presence_bce", "weight": 0.0})))
    points = torch.full((6, 3, 2), 16.0, requires_grad=True)
    loss(PointOutput(points, torch.full((6, 3), 0.5)), before, blend).backward()
    own, other = (weight[:, None] * truth.peak_values for weight, truth in
                  ((blend.own, before), (1 - blend.own, blend.other)))  # fmt: skip
    pull = own[..., None] * (points - before.points).sign() + other[..., None] * (points - blend.other.points).sign()
    assert torch.allclose(points.grad, pull.detach() / 2 / (own + other).sum(), atol=1e-6)


def test_the_squares_lie_anywhere():
    hit = (cut_out(torch.ones(400, 20, 20), 0.1, np.random.default_rng(0)) == 0).any(0)
    assert hit.all()
