import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.detection.heatmaps import decode_peaks, to_image_pixels
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.simulator.render import SliceBatch
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.simulator.volume_heads import VolumeHead
from LandmarkTrainingLib.core.slices.augmentation import Augmentation
from LandmarkTrainingLib.core.slices.batches import Batches, Numbers, batch_loader, encode
from LandmarkTrainingLib.core.slices.sources import FixedSlices, LabelSource, MixedSource, VolumeSource, joined, part_of
from LandmarkTrainingLib.core.slices.targets import TargetSettings, make_targets, target_settings
from toy_heads import MIRROR, NAMES, toy_heads

SLICES = SliceSettings(matrix=48, pixel_mm=4.0, profile_samples=1)
TARGETS = TargetSettings(sigma_mm=6.0, tau_mm=12.0, stem=2, pixel_mm=2.0)


@pytest.fixture(scope="module")
def labels():
    return LabelSource(toy_heads(4.0), MIRROR, SLICES)


@pytest.fixture(scope="module")
def volumes():
    heads = toy_heads(4.0)
    volume = VolumeHead("A", heads.tissues[0] / 25.0, heads.voxel_from_head[0], heads.landmarks_mm[0])
    return VolumeSource([volume], MIRROR, SLICES)


def batches(source, **changes):
    return Batches(source, TrainingConfig(batch_size=6, steps=5, **changes))


def equal(one, other):
    return all(torch.equal(v.nan_to_num(-9), getattr(other, name).nan_to_num(-9)) for name, v in vars(one).items())


def by_hand(points, depths, visible=True):
    points = torch.tensor(points)
    shape = points.shape[:2]
    return SliceBatch(
        torch.zeros(shape[0], 64, 96),
        torch.zeros(shape[0], dtype=torch.long),
        points,
        torch.tensor(depths),
        torch.full(shape, visible),
    )


def test_the_target_of_a_landmark_is_read_back_at_its_place_and_depth():
    batch = by_hand([[[20.3, 70.8], [41.9, 12.4]]], [[0.0, 12.0]])
    targets = make_targets(batch, TARGETS)
    assert targets.heatmaps.shape == (1, 2, 32, 48) and targets.known.all()
    assert to_image_pixels(targets.points, 2).numpy() == pytest.approx(batch.points.numpy())
    assert targets.peak_values[0].tolist() == pytest.approx([1.0, np.exp(-0.5)])
    peaks = decode_peaks(targets.heatmaps, TARGETS.sigma_pixels)
    assert to_image_pixels(peaks.positions[0], 2) == pytest.approx(batch.points[0].numpy(), abs=0.05)
    assert targets.heatmaps[0, 1].max() / targets.heatmaps[0, 0].max() == pytest.approx(np.exp(-0.5), rel=0.05)


def test_the_width_of_the_target_is_in_millimetres():
    coarse = TargetSettings(6.0, 12.0, 1, 4.0)
    assert TARGETS.sigma_pixels == 1.5 and coarse.sigma_pixels == 1.5
    config = TrainingConfig(sigma_mm=5.0, tau_mm=9.0, options={"stem": 4})
    assert target_settings(config, SLICES) == TargetSettings(5.0, 9.0, 4, 4.0)


def test_what_is_unknown_or_out_of_view_has_an_empty_target():
    nan = float("nan")
    unknown = make_targets(by_hand([[[nan, nan]]], [[nan]]), TARGETS)
    outside = make_targets(by_hand([[[20.0, 20.0]]], [[0.0]], visible=False), TARGETS)
    assert unknown.heatmaps.max() == unknown.peak_values.max() == 0 and not unknown.known.any()
    assert outside.heatmaps.max() == outside.peak_values.max() == 0 and outside.known.all()


def test_the_same_number_gives_the_same_batch_and_another_one_another(labels):
    assert equal(batches(labels)[3], batches(labels)[3])
    assert not torch.equal(batches(labels)[3].images, batches(labels)[2].images)
    assert not torch.equal(batches(labels)[3].images, batches(labels, seed=1)[3].images)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_loader_gives_the_numbers_it_is_told_in_their_order(labels, workers):
    dataset = batches(labels)
    numbers = Numbers(3, 8, 2)
    loaded = list(batch_loader(dataset, numbers, workers))
    assert len(loaded) == len(numbers) == 3
    assert all(equal(batch, dataset[i]) for batch, i in zip(loaded, (3, 5, 7), strict=True))


class Marked:
    """Slices whose pixels tell the source."""

    def __init__(self, mark):
        self.mark = mark

    def batch(self, count, seed):
        empty = torch.zeros(count, len(NAMES))
        images = torch.full((count, 2, 2), self.mark)
        return SliceBatch(images, torch.zeros(count), torch.zeros(count, len(NAMES), 2), empty, empty > 0)


@pytest.mark.parametrize(("fraction", "low", "high"), [(0.0, 0, 0), (0.5, 0.3, 0.7), (1.0, 1, 1)])
def test_the_stated_part_of_the_slices_comes_from_each_source(fraction, low, high):
    mixed = MixedSource([Marked(1.0), Marked(0.0)], [fraction, 1 - fraction])
    marks = torch.cat([batches(mixed)[i].images[:, 0, 0] for i in range(40)])
    assert len(marks) == 240 and low <= float(marks.mean()) <= high


def test_a_mixed_batch_keeps_slices_and_truth_together(labels, volumes):
    mixed = MixedSource([labels, volumes], [0.5, 0.5])
    batch = mixed.batch(6, (0, 1))
    assert batch.images.shape == (6, 48, 48) and batch.points.shape == (6, len(NAMES), 2)
    assert batch.known.shape == (6, len(NAMES))
    assert equal(batch, mixed.batch(6, (0, 1))) and not equal(batch, mixed.batch(6, (0, 2)))


def test_joining_appends_and_a_part_is_cut_out_again(labels):
    one, two = batches(labels)[0], batches(labels)[1]
    both = joined([one, two])
    assert equal(part_of(both, slice(0, 6)), one) and equal(part_of(both, slice(6, 12)), two)


def test_fixed_slices_are_drawn_as_they_are_or_varied(labels):
    few = labels.batch(4, (1,))
    plain = FixedSlices(few, MIRROR, SLICES)
    drawn = plain.batch(32, (0, 5))
    assert equal(drawn, plain.batch(32, (0, 5)))
    assert {image.numpy().tobytes() for image in drawn.images} == {image.numpy().tobytes() for image in few.images}
    varied = FixedSlices(few, MIRROR, SLICES, Augmentation()).batch(32, (0, 5))
    assert len({image.numpy().tobytes() for image in varied.images}) == 32
    still = FixedSlices(few, MIRROR, SLICES, Augmentation.none()).batch(32, (0, 5))
    assert torch.allclose(still.images, drawn.images, atol=1e-5)
    assert torch.allclose(still.points, drawn.points, atol=1e-3, equal_nan=True)


def test_the_network_input_of_a_batch_has_four_channels(labels):
    assert encode(batches(labels)[0]).shape == (6, 4, 48, 48)
