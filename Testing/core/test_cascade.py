"""Coarse to fine: where the crops lie, what is seen in them, and what becomes of the rest."""

import pytest
import torch

from architecture_checks import (
    CHANNELS,
    built,
    check_evaluation,
    check_needed,
    check_refusal,
    check_size_of_answer,
    idle_parameters,
    parameter_count,
    reached_by,
    shapes,
)
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.networks.architectures.cascade import CropRefiner

NARROW = {"features": [4] * 6, "width": 4, "coarse": 2, "crop": 12, "stem": 2}


def narrow(**change):
    return built("cascade", {**NARROW, **change})


def looking_at(network, *places):
    """Make the coarse net find landmark i at places[i], (row, column) of its own grid."""

    def found(_module, _inputs, heatmaps):
        sharp = torch.zeros_like(heatmaps)
        for landmark, (row, column) in enumerate(places):
            sharp[:, landmark, row, column] = 1.0
        return sharp + 0 * heatmaps

    network.look.register_forward_hook(found)
    return network


def refined_crops(network, image):
    """What the refining net is given and answers, (B, k, c, s, s) and (B, k, s, s), and the network's answer."""
    seen = []
    handle = network.refine.register_forward_hook(lambda _m, inputs, out: seen.append((inputs[0], out)))
    answer = network(image)
    handle.remove()
    return *seen[0], answer


def corner_of(crop, folded):
    """(row, column) of a crop (c, s, s) in a folded image (c, h, w): found by its content."""
    side = crop.shape[-1]
    windows = folded.unfold(1, side, 1).unfold(2, side, 1)
    same = (windows == crop[:, None, None]).flatten(3).all(dim=3).all(dim=0)
    assert same.sum() == 1
    return tuple(same.nonzero()[0].tolist())


def test_a_usual_size_has_the_stated_number_of_parameters():
    options = {"features": [32, 32, 64, 128, 256, 32], "width": 32, "coarse": 2, "crop": 16, "stem": 2}
    assert parameter_count("cascade", options) == 2_038_948


@pytest.mark.parametrize("coarse", [2, 4])
@pytest.mark.parametrize("stem", [1, 2, 4])
def test_inputs_of_the_stated_divisor_come_out_coarser_by_the_stem(stem, coarse):
    check_size_of_answer("cascade", {**NARROW, "stem": stem, "coarse": coarse})


def test_the_gradient_reaches_every_parameter():
    assert idle_parameters(narrow()) == []


def test_evaluation_is_deterministic_and_slices_do_not_influence_each_other():
    check_evaluation(narrow())


@pytest.mark.parametrize(
    "change",
    [
        {"features": [8] * 5},
        {"width": 0},
        {"coarse": 3},
        {"crop": 13},
        {"crop": 10**6},
        {"dropout": 1.0},
        {"stem": 3},
        {"sigma": 1.5},
    ],
)
def test_an_option_that_is_unknown_or_absurd_is_refused(change):
    check_refusal("cascade", NARROW, change)


@pytest.mark.parametrize("absent", [*CHANNELS, *NARROW])
def test_an_option_that_decides_shapes_has_no_default(absent):
    check_needed("cascade", NARROW, absent)


def test_a_crop_larger_than_the_smallest_image_is_refused():
    with pytest.raises(ModelError, match="crop is 34, more than the smallest grid of 32"):
        narrow(crop=34)


def test_the_refining_net_keeps_the_size_and_sees_its_whole_crop():
    refiner = narrow().refine
    assert shapes(refiner) == [(17, 4, 3, 1, 1), *[(4, 4, 3, 1, rate) for rate in (2, 4, 2, 1)], (4, 1, 1, 1, 1)]
    crops = torch.randn(1, 3, 17, 32, 32, requires_grad=True)
    middle = refiner.eval()(crops)[0, 1, 16, 16]
    (gradient,) = torch.autograd.grad(middle, crops, retain_graph=True)
    assert not gradient[:, [0, 2]].any()  # a landmark's crop is its own
    crop = crops.detach()[:, 1].requires_grad_()
    whole = torch.stack([crop] * 3, dim=1)
    assert reached_by(refiner(whole)[0, 1, 16, 16], crop) == (21, 21)


def test_landmarks_share_the_refining_net_and_look_for_something_else_in_the_same_crop():
    torch.manual_seed(0)
    three, five = CropRefiner(17, 3, 4), CropRefiner(17, 5, 4)
    extra = sum(p.numel() for p in five.parameters()) - sum(p.numel() for p in three.parameters())
    assert extra == 2 * 2 * 4  # scale and shift of each feature
    same = torch.randn(2, 1, 17, 12, 12).expand(-1, 3, -1, -1, -1)
    refined = three.eval()(same)
    assert refined.shape == (2, 3, 12, 12) and not torch.allclose(refined[:, 0], refined[:, 1], atol=1e-3)


def test_each_crop_is_the_image_and_the_own_coarse_map_round_the_coarse_peak():
    network = looking_at(narrow().eval(), (4, 9), (10, 5), (8, 8))
    image = torch.randn(2, 4, 64, 64)
    crops, _, _ = refined_crops(network, image)
    assert crops.shape == (2, 3, 17, 12, 12)
    for landmark, place in enumerate([(4, 9), (10, 5), (8, 8)]):
        row, column = corner_of(crops[1, landmark, :16], network.fold(image)[1])
        # The fine pixels 2 p and 2 p + 1 lie nearest to the coarse pixel p.
        assert (row + 6 - 2 * place[0], column + 6 - 2 * place[1]) in {(0, 0), (0, 1), (1, 0), (1, 1)}
        found = torch.zeros(1, 1, 16, 16)
        found[0, 0, place[0], place[1]] = 1
        fine = torch.nn.functional.interpolate(found, scale_factor=2, mode="bilinear")[0, 0]
        assert torch.allclose(crops[1, landmark, 16], fine[row : row + 12, column : column + 12], atol=1e-6)


def test_the_refined_heatmap_is_what_the_crop_says_and_zero_around_it():
    network = looking_at(narrow().eval(), (4, 9), (10, 5), (8, 8))
    image = torch.randn(1, 4, 64, 64)
    with torch.no_grad():
        crops, refined, heatmaps = refined_crops(network, image)
    for landmark in range(3):
        row, column = corner_of(crops[0, landmark, :16], network.fold(image)[0])
        inside = heatmaps[0, landmark, row : row + 12, column : column + 12].clone()
        assert torch.equal(inside, refined[0, landmark]) and inside.any()
        heatmaps[0, landmark, row : row + 12, column : column + 12] = 0
    assert not heatmaps.any()


def test_at_the_border_the_crop_stays_in_the_image():
    network = looking_at(narrow().eval(), (0, 0), (15, 0), (15, 15))
    image = torch.randn(1, 4, 64, 64)
    crops, _, _ = refined_crops(network, image)
    corners = [corner_of(crop[:16], network.fold(image)[0]) for crop in crops[0]]
    assert corners == [(0, 0), (20, 0), (20, 20)]


def test_in_training_crops_miss_the_centre_but_never_the_peak():
    network = looking_at(narrow().train(), (8, 8), (8, 8), (8, 8))
    image = torch.randn(2, 4, 64, 64)
    torch.manual_seed(0)
    seen = [refined_crops(network, image)[0][0] for _ in range(12)]
    corners = torch.tensor([corner_of(crop[:16], network.fold(image)[0]) for crops in seen for crop in crops])
    assert corners.unique(dim=0).shape[0] > 12
    # The peak is at pixel 16 or 17; a centred crop begins six before. A quarter of the side is three.
    assert corners.min() == 16 - 6 - 3 and corners.max() <= 17 - 6 + 3
    assert all(crop[16].max() > 0.5 for crops in seen for crop in crops)


def test_in_training_the_coarse_heatmaps_come_first_on_the_fine_grid():
    network = narrow().train()
    seen = []
    network.look.register_forward_hook(lambda _m, _i, out: seen.append(out))
    coarse, refined = network(torch.randn(2, 4, 64, 64))
    assert torch.equal(coarse, torch.nn.functional.interpolate(seen[0], scale_factor=2, mode="bilinear"))
    assert coarse.shape == refined.shape == (2, 3, 32, 32) and not torch.equal(coarse, refined)


def test_bfloat16_crops_find_their_place():
    network = narrow().train()
    with torch.autocast("cpu", torch.bfloat16):
        coarse, refined = network(torch.randn(2, 4, 64, 64))
    assert refined.isfinite().all() and (refined != 0).sum() <= 2 * 3 * 12 * 12
    (coarse.float().square().mean() + refined.float().square().mean()).backward()
