import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.heatmaps import decode_peaks, to_image_pixels
from LandmarkTrainingLib.core.batches import (
    SimulatedBatches,
    TargetSettings,
    TrainingData,
    batch_loader,
    encode,
    joined,
    make_targets,
    target_settings,
)
from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.losses import PeakWeightedMse
from LandmarkTrainingLib.core.simulator.render import SliceBatch, SliceSettings
from LandmarkTrainingLib.core.simulator.volume_heads import VolumeHead
from toy_heads import MIRROR, NAMES, toy_heads

SLICES = SliceSettings(matrix=48, pixel_mm=4.0, profile_samples=1)
TARGETS = TargetSettings(sigma_mm=6.0, tau_mm=12.0, stem=2, pixel_mm=2.0)


@pytest.fixture(scope="module")
def data():
    heads = toy_heads(4.0)
    volume = VolumeHead(heads.tissues[0] / 25.0, heads.voxel_from_head[0], heads.landmarks_mm[0])
    return TrainingData(heads, heads, MIRROR, [volume])


def batches(data, **changes):
    return SimulatedBatches(data, TrainingConfig(batch_size=6, steps=5, **changes), SLICES)


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
    assert targets.shape == (1, 2, 32, 48)
    peaks = decode_peaks(targets, TARGETS.sigma_pixels)
    assert to_image_pixels(peaks.positions[0], 2) == pytest.approx(batch.points[0].numpy(), abs=0.05)
    assert targets[0, 1].max() / targets[0, 0].max() == pytest.approx(np.exp(-0.5), rel=0.05)


def test_the_width_of_the_target_is_in_millimetres():
    coarse = TargetSettings(6.0, 12.0, 1, 4.0)
    assert TARGETS.sigma_pixels == 1.5 and coarse.sigma_pixels == 1.5
    config = TrainingConfig(sigma_mm=5.0, tau_mm=9.0, options={"stem": 4})
    assert vars(target_settings(config, SLICES)) == {"sigma_mm": 5.0, "tau_mm": 9.0, "stem": 4, "pixel_mm": 4.0}


def test_what_is_unknown_or_out_of_view_has_an_empty_target():
    nan = float("nan")
    assert make_targets(by_hand([[[nan, nan]]], [[nan]]), TARGETS).max() == 0
    assert make_targets(by_hand([[[20.0, 20.0]]], [[0.0]], visible=False), TARGETS).max() == 0


def test_the_same_index_gives_the_same_batch_and_another_one_another(data):
    assert equal(batches(data)[3], batches(data)[3])
    assert not torch.equal(batches(data)[3].images, batches(data)[2].images)
    assert not torch.equal(batches(data)[3].images, batches(data, seed=1)[3].images)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_loader_goes_on_where_it_is_told(data, workers):
    dataset = batches(data)
    loaded = list(batch_loader(dataset, 3, workers))
    assert len(loaded) == 2
    assert equal(loaded[0], dataset[3]) and equal(loaded[1], dataset[4])


@pytest.mark.parametrize(("fraction", "low", "high"), [(0.0, 0, 0), (0.5, 0.3, 0.7), (1.0, 1, 1)])
def test_the_stated_part_of_the_slices_is_cut_from_volumes(data, monkeypatch, fraction, low, high):
    from LandmarkTrainingLib.core import batches as module

    counts = {"labels": 0, "volumes": 0}

    def counting(kind):
        def simulate(_heads, _mirror, count, _seed, _settings):
            counts[kind] += count
            return SliceBatch(*(torch.zeros(count, 1) for _ in range(5)))

        return simulate

    monkeypatch.setattr(module, "simulate_batch", counting("labels"))
    monkeypatch.setattr(module, "simulate_volume_batch", counting("volumes"))
    dataset = batches(data, volume_fraction=fraction)
    sizes = [len(dataset[i].images) for i in range(40)]
    assert set(sizes) == {6}
    assert low <= counts["volumes"] / 240 <= high and counts["labels"] + counts["volumes"] == 240


def test_without_volumes_all_slices_come_from_label_maps(data):
    alone = TrainingData(data.train, data.check, data.mirror)
    assert len(batches(alone, volume_fraction=1.0)[0].images) == 6


def test_a_mixed_batch_keeps_slices_and_truth_together(data):
    mixed = batches(data, volume_fraction=0.5)[0]
    assert mixed.images.shape == (6, 48, 48) and mixed.points.shape == (6, len(NAMES), 2)
    assert mixed.known.shape == (6, len(NAMES))


def test_joining_appends(data):
    one, two = batches(data)[0], batches(data)[1]
    both = joined([one, two])
    assert torch.equal(both.images[6:], two.images) and torch.equal(both.planes[:6], one.planes)


def test_the_network_input_of_a_batch_has_four_channels(data):
    assert encode(batches(data)[0]).shape == (6, 4, 48, 48)


def test_the_loss_is_zero_for_the_target_itself_and_ignores_unknown_landmarks():
    target = torch.rand(2, 3, 8, 8)
    known = torch.tensor([[True, True, False], [True, True, False]])
    loss, spoiled = PeakWeightedMse(20.0), target.clone()
    spoiled[:, 2] += 5
    assert loss(target, target, known) == 0 and loss(spoiled, target, known) == 0
    spoiled[0, 0] += 0.1
    assert loss(spoiled, target, known) > 0
    assert loss(spoiled, target, torch.zeros(2, 3, dtype=torch.bool)) == 0


def test_an_error_at_a_peak_weighs_more_than_in_the_background():
    target = torch.zeros(1, 1, 8, 8)
    target[0, 0, 2, 2] = 1.0
    at_peak, beside = target.clone(), target.clone()
    at_peak[0, 0, 2, 2] -= 0.5
    beside[0, 0, 6, 6] += 0.5
    loss, known = PeakWeightedMse(20.0), torch.ones(1, 1, dtype=torch.bool)
    assert loss(at_peak, target, known) == pytest.approx(21 * float(loss(beside, target, known)))
    assert loss(beside, target, known) == pytest.approx(50 * 0.25 / 64)
