"""Hourglasses against KNEEL's and Newell's descriptions, and the coordinates that are read from their maps."""

import numpy as np
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
    layers,
    parameter_count,
    reached_by,
    seen_across,
    shapes,
)
from AutoVolumeCalibrationLib.core.detection.heatmaps import decode_peaks
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.models.weights import load_tensors
from AutoVolumeCalibrationLib.core.networks.architectures.hourglass import (
    BottleneckResidual,
    Hourglass,
    MultiScaleResidual,
)
from AutoVolumeCalibrationLib.core.networks.architectures.outputs import PointOutput
from AutoVolumeCalibrationLib.core.networks.architectures.point_head import (
    PresenceHead,
    pixel_positions,
    spatial_softmax,
    weighted_mean,
)

#: Channels of colour photographs, and landmarks of people in them.
MPII = {"in_channels": 3, "out_channels": 16}
NARROW = {
    "hourglass": {"width": 4, "depth": 3, "stem": 2, "sigma": 1.5},
    "stacked_hourglass": {"width": 8, "depth": 3, "stacks": 2, "stem": 2},
}


def narrow(name, **change):
    return built(name, {**NARROW[name], **change})


def kinds(network):
    return [type(layer).__name__ for layer in network]


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("hourglass", {"width": 24, "depth": 6, "stem": 4, "sigma": 1.5}, 4_386_846),
        ("hourglass", {"width": 24, "depth": 4, "stem": 4, "sigma": 1.5}, 3_026_910),
        ("hourglass", {"width": 24, "depth": 6, "stem": 4, "sigma": 1.5, "mixing_kernel": 3}, 5_907_486),
        # Of the authors' PyTorch code from 3 channels to the 16 landmarks of MPII, without its unused skips.
        ("stacked_hourglass", {"width": 256, "depth": 4, "stacks": 8, "stem": 4, **MPII}, 25_434_112),
        ("stacked_hourglass", {"width": 256, "depth": 4, "stacks": 2, "stem": 4, **MPII}, 6_570_400),
    ],
)
def test_the_published_size_has_the_stated_number_of_parameters(name, options, parameters):
    assert parameter_count(name, options) == parameters


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("name", NARROW)
def test_inputs_of_the_stated_divisor_come_out_coarser_by_the_stem(name, stem):
    check_size_of_answer(name, {**NARROW[name], "stem": stem})


@pytest.mark.parametrize("name", NARROW)
def test_an_hourglass_deeper_than_the_grid_is_wide_takes_odd_grids(name):
    check_size_of_answer(name, {**NARROW[name], "depth": 6})


@pytest.mark.parametrize("name", NARROW)
def test_the_gradient_reaches_every_parameter(name):
    assert idle_parameters(narrow(name)) == []


@pytest.mark.parametrize("name", NARROW)
def test_evaluation_is_deterministic_and_slices_do_not_influence_each_other(name):
    check_evaluation(narrow(name))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("hourglass", {"width": 1}),
        ("hourglass", {"depth": 0}),
        ("hourglass", {"depth": 64}),
        ("hourglass", {"sigma": 0}),
        ("hourglass", {"sigma": float("nan")}),
        ("hourglass", {"sigma": True}),
        ("hourglass", {"dropout": 1.0}),
        ("hourglass", {"stacks": 2}),
        ("stacked_hourglass", {"stacks": 1}),
        ("stacked_hourglass", {"stacks": 10**6}),
        ("stacked_hourglass", {"width": 6}),
        ("stacked_hourglass", {"sigma": 1.5}),
        *((name, {"stem": 3}) for name in NARROW),
    ],
)
def test_an_option_that_is_unknown_or_absurd_is_refused(name, change):
    check_refusal(name, NARROW[name], change)


@pytest.mark.parametrize(
    ("name", "absent"), [(name, option) for name in NARROW for option in (*CHANNELS, *NARROW[name])]
)
def test_an_option_that_decides_shapes_has_no_default(name, absent):
    check_needed(name, NARROW[name], absent)


def test_the_kneel_entry_is_the_published_one():
    entry = narrow("hourglass", width=8, stem=4).entry
    same = [(16, 8, 3, 1, 1), (8, 4, 3, 1, 1), (4, 4, 3, 1, 1)]
    assert shapes(entry) == [
        (4, 8, 7, 2, 1),
        *[(8, 8, 3, 1, 1), (8, 4, 3, 1, 1), (4, 4, 3, 1, 1), (8, 16, 1, 1, 1)],
        *same,
        *same,
        *[(16, 16, 3, 1, 1), (16, 8, 3, 1, 1), (8, 8, 3, 1, 1), (16, 32, 1, 1, 1)],
    ]
    residual = "MultiScaleResidual"
    assert kinds(entry) == ["Conv2d", "BatchNorm2d", "ReLU", residual, "MaxPool2d", residual, residual, residual]
    assert entry[4].kernel_size == 2


@pytest.mark.parametrize(("stem", "stride", "pooled"), [(1, 1, 1), (2, 2, 1), (4, 2, 2)])
def test_a_finer_stem_leaves_out_the_pooling_and_then_the_stride(stem, stride, pooled):
    entry = narrow("hourglass", stem=stem).entry
    assert entry[0].stride == (stride, stride) and entry[4].kernel_size == pooled


def test_a_multi_scale_block_joins_its_three_convolutions_in_a_row_and_adds_the_skip():
    torch.manual_seed(0)
    block, seen = MultiScaleResidual(8, 8).eval(), []
    for scale in block.scales:
        scale.register_forward_hook(lambda _m, inputs, out: seen.append((inputs[0], out)))
    features = torch.randn(1, 8, 9, 9)
    result = block(features)
    assert [out.shape[1] for _, out in seen] == [4, 2, 2]
    assert seen[0][0] is features and seen[1][0] is seen[0][1] and seen[2][0] is seen[1][1]
    assert torch.equal(result, features + torch.cat([out for _, out in seen], dim=1))
    assert seen[0][1].min() >= 0 and seen[2][1].min() < 0  # no activation before the sum


def test_a_bottleneck_block_norms_and_activates_before_each_convolution():
    block = BottleneckResidual(8, 16)
    assert kinds(block.residual) == ["BatchNorm2d", "ReLU", "Conv2d"] * 3
    assert shapes(block) == [(8, 8, 1, 1, 1), (8, 8, 3, 1, 1), (8, 16, 1, 1, 1), (8, 16, 1, 1, 1)]


@pytest.mark.parametrize(
    ("name", "options", "block", "blocks", "widths"),
    [
        ("hourglass", {"width": 4, "depth": 6}, MultiScaleResidual, 3, (16, 32)),
        ("stacked_hourglass", {"width": 8, "depth": 4}, BottleneckResidual, 1, (8, 8)),
    ],
)
def test_an_hourglass_goes_down_to_its_depth_and_carries_each_grid_across(name, options, block, blocks, widths):
    network = narrow(name, **options).eval()
    outer = layers(network, Hourglass)[0]
    levels = layers(outer, Hourglass)
    assert len(levels) == options["depth"]
    assert all(len(layers(level.across, block)) == len(layers(level.down, block)) == blocks for level in levels)
    assert all(isinstance(level.up, block) for level in levels) and isinstance(levels[-1].inner, block)
    down, up = [], []
    for level in levels:
        level.down.register_forward_hook(lambda _m, _i, out: down.append(out.shape))
        level.up.register_forward_hook(lambda _m, _i, out: up.append(out.shape))
    result = outer(torch.randn(1, widths[0], 64, 64))
    grids = [32, 16, 8, 4, 2, 1][: options["depth"]]
    assert down == [(1, widths[0], side, side) for side in grids]
    assert up == [(1, widths[1], side, side) for side in reversed(grids)]
    assert result.shape == (1, widths[1], 64, 64)


def test_what_comes_up_is_added_to_what_went_across():
    hourglass = layers(narrow("hourglass"), Hourglass)[0].eval()
    seen = {}
    hourglass.across.register_forward_hook(lambda _m, _i, out: seen.update(across=out))
    hourglass.down.register_forward_hook(lambda _m, inputs, _o: seen.update(down=inputs[0]))
    hourglass.up.register_forward_hook(lambda _m, _i, out: seen.update(up=out))
    features = torch.randn(1, 16, 8, 8)
    result = hourglass(features)
    assert torch.equal(seen["down"], features.unflatten(3, (4, 2)).unflatten(2, (4, 2)).amax(dim=(3, 5)))
    up = torch.nn.functional.interpolate(seen["up"], scale_factor=2, mode="bilinear")
    assert torch.allclose(result, seen["across"] + up)


def test_a_residual_block_and_a_convolution_follow_each_of_the_stacked_hourglasses():
    for hourglass in narrow("stacked_hourglass", stacks=3).hourglasses:
        assert kinds(hourglass) == ["Hourglass", "BottleneckResidual", "Conv2d", "BatchNorm2d", "ReLU"]


def test_weights_of_a_stacked_hourglass_without_that_block_are_refused_with_the_reason(tmp_path):
    network = narrow("stacked_hourglass")
    earlier = {}
    for name, value in network.state_dict().items():
        parts = name.split(".")
        if parts[0] == "hourglasses" and parts[2] != "0":
            if parts[2] == "1":
                continue  # the residual block
            parts[2] = str(int(parts[2]) - 1)
        earlier[".".join(parts)] = value
    with pytest.raises(ModelError, match="model.pt.*version 0.1.0.*lacked a residual block: train it again"):
        load_tensors(network, earlier, tmp_path / "model.pt", "Choose another model.")
    with pytest.raises(ModelError, match="do not fit the network"):
        load_tensors(network, {"a": torch.ones(1)}, tmp_path / "model.pt", "Choose another model.")


def test_the_kneel_hourglass_goes_up_with_aligned_corners_where_that_is_asked_for():
    torch.manual_seed(0)
    hourglass = Hourglass(1, 4, 4, 4, MultiScaleResidual, 1, "bilinear", True).eval()
    features = torch.randn(1, 4, 8, 8)
    up = hourglass.up(hourglass.inner(hourglass.down(torch.nn.functional.max_pool2d(features, 2))))
    aligned = torch.nn.functional.interpolate(up, (8, 8), mode="bilinear", align_corners=True)
    assert torch.allclose(hourglass(features), hourglass.across(features) + aligned)
    assert {h.align_corners for h in layers(narrow("hourglass", align_corners=True), Hourglass)} == {True}
    assert {h.align_corners for h in layers(narrow("hourglass"), Hourglass)} == {False}


def test_the_authors_code_mixes_with_3x3_kernels():
    network = narrow("hourglass", mixing_kernel=3)
    assert [kernel for _, _, kernel, _, _ in shapes(network.mixer)] == [3, 3]
    skips = [block.skip for block in layers(network, MultiScaleResidual)]
    assert {kernel for skip in skips for _, _, kernel, _, _ in shapes(skip)} == {3}


def test_the_kneel_head_drops_and_mixes_twice():
    network = narrow("hourglass")
    assert shapes(network.mixer) == [(32, 32, 1, 1, 1), (32, 16, 1, 1, 1)]
    assert kinds(network.mixer) == ["Dropout2d", "Conv2d", "BatchNorm2d", "ReLU"] * 2
    assert {layer.p for layer in layers(network, torch.nn.Dropout2d)} == {0.25}
    assert shapes(network)[-1] == (16, 3, 1, 1, 1)


def test_the_soft_argmax_finds_a_peak_and_the_middle_between_two():
    maps = torch.full((1, 2, 20, 40), -100.0)
    maps[0, 0, 7, 31] = 100.0
    maps[0, 1, 4, 10] = maps[0, 1, 8, 20] = 100.0
    points = weighted_mean(spatial_softmax(maps), pixel_positions((20, 40), maps.device))
    assert points[0].tolist() == [pytest.approx([7, 31]), pytest.approx([6, 15])]


def test_positions_of_blocks_are_their_centres():
    assert pixel_positions((2, 3), torch.device("cpu"), 4)[:, 1, 2].tolist() == [5.5, 9.5]


def test_coordinates_keep_their_precision_under_bfloat16():
    network = narrow("hourglass", depth=1, dropout=0.0).train()
    maps = []
    network.maps.register_forward_hook(lambda _m, _i, out: maps.append(out.detach()))
    with torch.autocast("cpu", torch.bfloat16):
        output = network(torch.randn(2, 4, 32, 512))
    assert maps[0].dtype == torch.bfloat16 and output.points.dtype == output.presence.dtype == torch.float32
    weights = maps[0].double().flatten(2).softmax(dim=2).unflatten(2, maps[0].shape[2:])
    expected = (weights.sum(dim=2) * torch.arange(256)).sum(dim=2)
    assert torch.allclose(output.points[..., 1].double(), expected, atol=1e-3)


def test_in_training_there_are_points_and_in_evaluation_gaussians_there():
    network = narrow("hourglass", sigma=2.0)
    with torch.no_grad():
        network.maps.weight *= 50  # else every point is the middle of the image
    image = torch.randn(2, 4, 64, 64)
    output = network.train()(image)
    assert isinstance(output, PointOutput) and output.points.shape == (2, 3, 2) and output.presence.shape == (2, 3)
    seen = {}
    network.maps.register_forward_hook(lambda _m, _i, out: seen.update(maps=out))
    network.presence.register_forward_hook(lambda _m, _i, out: seen.update(presence=out))
    with torch.inference_mode():
        heatmaps = network.eval()(image)
        points = weighted_mean(spatial_softmax(seen["maps"]), pixel_positions((32, 32), image.device)).numpy()
    peaks = decode_peaks(heatmaps, 2.0)
    assert points.std() > 1 and np.abs(peaks.positions - points).max() < 0.02
    assert np.all(peaks.peak_values <= seen["presence"].numpy() + 1e-6)
    assert np.all(peaks.peak_values > 0.9 * seen["presence"].numpy())


def test_presence_does_not_move_the_point():
    network = narrow("hourglass").train()
    network(torch.randn(2, 4, 64, 64)).presence.sum().backward()
    assert network.maps.weight.grad is None and network.presence.weight.grad.abs().sum() > 0


def test_presence_is_told_where_the_landmark_is_sought():
    torch.manual_seed(0)
    head = PresenceHead(6, 2)
    features, weights = torch.randn(1, 6, 8, 8), torch.zeros(1, 2, 8, 8)
    weights[0, 0, 2, 3] = weights[0, 1, 6, 6] = 1
    changed = features.clone()
    changed[..., 2, 3] += torch.randn(6)
    before, after = head(features, weights)[0], head(changed, weights)[0]
    assert before.min() > 0 and before.max() < 1
    assert before[0] != after[0] and before[1] == after[1]


def test_the_stacked_entry_and_heads_are_the_published_ones():
    network = narrow("stacked_hourglass", width=16, stem=4, stacks=3)
    assert kinds(network.entry)[2:] == ["ReLU", "BottleneckResidual", "MaxPool2d", *["BottleneckResidual"] * 2]
    blocks = layers(network.entry, BottleneckResidual)
    assert shapes(network.entry)[0] == (4, 4, 7, 2, 1)
    assert [shapes(block)[0][0] for block in blocks] == [4, 8, 8] and shapes(blocks[-1])[-1][1] == 16
    assert [shapes(head) for head in network.heads] == [[(16, 3, 1, 1, 1)]] * 3
    assert all(shapes(hourglass)[-1] == (16, 16, 1, 1, 1) for hourglass in network.hourglasses)


def test_every_hourglass_is_given_the_features_and_heatmaps_of_the_one_before():
    network = narrow("stacked_hourglass", stacks=3).eval()
    seen = []
    for hourglass in network.hourglasses:
        hourglass.register_forward_hook(lambda _m, inputs, out: seen.append((inputs[0], out)))
    last = network(torch.randn(1, 4, 64, 64))
    for i, (given, features) in enumerate(seen[:2]):
        back = network.features_back[i](features) + network.heatmaps_back[i](network.heads[i](features))
        assert torch.allclose(seen[i + 1][0], given + back)
    assert torch.equal(last, network.heads[2](seen[2][1]))


def test_in_training_the_heatmaps_of_every_hourglass_are_there_to_supervise():
    network = narrow("stacked_hourglass", stacks=3).train()
    outputs = network(torch.randn(2, 4, 64, 64))
    assert [output.shape for output in outputs] == [(2, 3, 32, 32)] * 3
    outputs[0].sum().backward()
    assert network.heads[0].weight.grad is not None and network.heads[1].weight.grad is None


def test_both_see_the_whole_head():
    """At 2 mm per pixel the head is 100 pixels long."""
    assert min(seen_across(narrow("stacked_hourglass", depth=4), 256, 2)) >= 200
    network, image = narrow("hourglass", depth=4).eval(), torch.randn(1, 4, 256, 256, requires_grad=True)
    middle = network.hourglass(network.entry(image))[0, :, 64, 64].sum()
    assert min(reached_by(middle, image)) >= 200
