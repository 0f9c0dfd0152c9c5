"""The range test of a run, and what is seen inside a bundle."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.models.bundle import load_model
from fake_models import spot_stack
from LandmarkTrainingLib.core.evaluation.heatmap_picture import heatmap_picture
from LandmarkTrainingLib.core.training.bundle_inspection import open_model, slice_as_seen
from LandmarkTrainingLib.core.training.lr_range_run import try_rates
from toy_training import SLICES, TINY, SameBatch, one_batch, toy_data

SMALL = TINY.replaced({"architecture": "unet", "options": {"features": [4] * 6, "stem": 2}})
CPU = torch.device("cpu")


def test_a_network_in_groups_is_tried_too():
    inner = {"inner": "unet", "inner_options": {"features": [4] * 6}, "stem": 2, "group_size": 2}
    config = SMALL.replaced({"architecture": "iterative", "options": inner, "known_fraction": 0.5})
    data = toy_data(source=SameBatch(one_batch(config)))
    assert try_rates(config, data, lowest=1e-5, highest=1.0, steps=25, slices=SLICES).suggestion > 1e-5


def test_the_range_test_of_a_run_suggests_a_rate_at_which_it_learns():
    data = toy_data(source=SameBatch(one_batch(SMALL)))
    test = try_rates(SMALL, data, lowest=1e-5, highest=10.0, steps=40, slices=SLICES)
    assert 1e-5 < test.suggestion < 1 and min(test.losses) < 0.9 * test.losses[0]


def test_search_agents_have_no_range_test():
    config = TINY.replaced(
        {"architecture": "search_agent", "options": {"width": 4, "patch": 9, "levels": 2, "stem": 1}}
    )
    with pytest.raises(UsageError, match="Set learning_rate yourself"):
        try_rates(config, toy_data(source=SameBatch(one_batch(TINY))), lowest=1e-5, highest=1.0, steps=25)


@pytest.fixture(scope="module")
def model():
    return open_model("brain-scout")


@pytest.fixture(scope="module")
def stacks():
    """Three planes of three slices without any dark pixel, so that their borders show."""
    rng, result = np.random.default_rng(0), []
    for plane in PLANES:
        stack = spot_stack(plane, np.zeros(3), (-6.0, 0.0, 6.0), shape=(120, 100))
        bright = [replace(s, pixels=s.pixels + rng.random(s.pixels.shape, np.float32) * 100) for s in stack.slices]
        result.append(replace(stack, slices=tuple(bright)))
    return result


def test_the_layers_are_those_that_were_trained_and_answer_as_the_model_in_use(model, stacks):
    image = slice_as_seen(model, stacks, "axial")
    used = load_model("brain-scout", "cpu", "torch")
    with torch.inference_mode():
        expected, found = used.network(image[None]), model.network(image[None])
    assert torch.allclose(found, expected, atol=1e-4) and found.shape[1] == len(model.names) == len(used.names)
    assert any(isinstance(layer, torch.nn.BatchNorm2d) for layer in model.network.modules())
    assert len(model.layers()) > 5 and all(model.layers())


def test_a_slice_is_seen_whole_in_the_middle_of_what_the_network_takes(model, stacks):
    image = slice_as_seen(model, stacks, "coronal")
    assert image.shape[0] == 4 and all(side % model.divisor == 0 for side in image.shape[1:])
    assert torch.equal(image[1:].mean((1, 2)), torch.tensor([0.0, 1.0, 0.0]))
    seen = np.argwhere(image[0].numpy() > -1)
    middle = (seen.min(axis=0) + seen.max(axis=0)) / 2
    np.testing.assert_allclose(middle, (np.array(image.shape[1:]) - 1) / 2, atol=1)
    assert (seen.max(axis=0) - seen.min(axis=0) + 1).tolist() == [60, 50]
    numbered = [slice_as_seen(model, stacks, "coronal", number) for number in (1, 2, 3)]
    assert torch.equal(numbered[1], image)


def test_a_slice_that_is_not_there_is_refused(model, stacks):
    with pytest.raises(InputError, match="have no axial slices. Choose one of: coronal, sagittal"):
        slice_as_seen(model, stacks[:2], "axial")
    for number in (0, 4):
        with pytest.raises(UsageError, match=f"axial slice {number} does not exist. Choose one from 1 to 3"):
            slice_as_seen(model, stacks, "axial", number)


def test_the_picture_of_heatmaps_follows_the_network(model, stacks, tmp_path):
    image, path = slice_as_seen(model, stacks, "axial"), tmp_path / "heatmaps.png"
    drawn = []
    for height in (0.0, 1.0):
        answer = torch.full((1, 3, image.shape[1] // 2, image.shape[2] // 2), 0.0)
        answer[..., 10, 12] = height
        network = torch.nn.Module()
        network.forward = lambda _image, answer=answer: answer
        heatmap_picture(network, image, model.targets, model.names[:3], path, threshold=0.2, title="x")
        with Image.open(path) as picture:
            drawn.append(np.asarray(picture.convert("RGB"), dtype=float))
    assert drawn[0].shape == drawn[1].shape and np.abs(drawn[0] - drawn[1]).max() > 100
    with pytest.raises(UsageError, match="absent"):
        heatmap_picture(network, image, model.targets, model.names, tmp_path / "absent" / "x.png")
