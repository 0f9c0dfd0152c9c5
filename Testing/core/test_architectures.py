"""Each architecture against its paper's description; how the registry guards them is in test_networks.py."""

import pytest
import torch
from monai.networks.nets.attentionunet import AttentionBlock

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
    seen_across,
    shapes,
)
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.networks.architectures.deeplabv3 import Bottleneck
from AutoVolumeCalibrationLib.core.networks.architectures.outputs import SigmaOutput
from AutoVolumeCalibrationLib.core.networks.registry import find_architecture

#: The widths and depths of the papers, and the parameters that 4 channels to 3 landmarks then need.
PUBLISHED = {
    "unet": ({"features": [64, 128, 256, 512, 1024, 64], "stem": 1}, 31_113_923),
    "attention_unet": ({"features": [64, 128, 256, 512, 1024], "stem": 1}, 31_741_043),
    "scn": ({"width": 128, "stem": 1}, 5_837_446),
    "flat_net": ({"width": 32, "stem": 1}, 2_971_363),
    "deeplabv3": ({"width": 64, "blocks": [3, 4, 6], "output_stride": 16, "stem": 1}, 39_047_043),
}
NARROW = {
    "unet": {"features": [4] * 6, "stem": 2},
    "attention_unet": {"features": [4] * 5, "stem": 2},
    "scn": {"width": 4, "stem": 2},
    "flat_net": {"width": 2, "stem": 2},
    "deeplabv3": {"width": 4, "blocks": [1, 1, 1], "output_stride": 8, "stem": 2},
}


def narrow(name, **change):
    return built(name, {**NARROW[name], **change})


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_size_has_the_stated_number_of_parameters(name):
    options, parameters = PUBLISHED[name]
    assert parameter_count(name, options) == parameters


@pytest.mark.parametrize(
    ("name", "channels", "parameters"),
    [
        ("scn", {"in_channels": 1, "out_channels": 19}, 6_348_070),  # cephalograms
        ("flat_net", {"in_channels": 3, "out_channels": 5}, 2_958_533),  # one of the five networks
    ],
)
def test_between_the_channels_of_the_paper_a_network_has_its_parameters(name, channels, parameters):
    assert parameter_count(name, {**PUBLISHED[name][0], **channels}) == parameters


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("name", NARROW)
def test_inputs_of_the_stated_divisor_come_out_coarser_by_the_stem(name, stem):
    check_size_of_answer(name, {**NARROW[name], "stem": stem})


@pytest.mark.parametrize("name", NARROW)
def test_the_gradient_reaches_every_parameter(name):
    assert idle_parameters(narrow(name)) == []


@pytest.mark.parametrize("name", NARROW)
def test_evaluation_is_deterministic_and_slices_do_not_influence_each_other(name):
    check_evaluation(narrow(name))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("unet", {"features": [8] * 5}),
        ("unet", {"act": "relu"}),
        ("unet", {"activation": "swish"}),
        ("unet", {"norm": "layer"}),
        ("unet", {"spatial_dropout": 1}),
        ("attention_unet", {"features": [8] * 6}),
        ("attention_unet", {"features": [8, 8, 8, 8, 0]}),
        ("scn", {"width": 0}),
        ("scn", {"width": 10**6}),
        ("scn", {"grid": 12}),
        ("scn", {"learned_sigma": 0}),
        ("scn", {"dropout": 1.0}),
        ("scn", {"features": [8] * 6}),
        ("flat_net", {"rates": [1, 2, 3, 4]}),
        ("flat_net", {"rates": [1, 2, 3, 4, 10**6]}),
        ("flat_net", {"rates": "12345"}),
        ("flat_net", {"dropout": 0.1}),
        ("deeplabv3", {"output_stride": 4}),
        ("deeplabv3", {"blocks": [3, 4, 10**9]}),
        ("deeplabv3", {"blocks": [3, 4, 0]}),
        ("deeplabv3", {"width": True}),
        *((name, {"stem": 3}) for name in NARROW),
        *((name, {"out_channels": 10**9}) for name in NARROW),
    ],
)
def test_an_option_that_is_unknown_or_absurd_is_refused(name, change):
    check_refusal(name, NARROW[name], change)


@pytest.mark.parametrize(
    ("name", "absent"), [(name, option) for name in NARROW for option in (*CHANNELS, *NARROW[name])]
)
def test_an_option_that_decides_shapes_has_no_default(name, absent):
    check_needed(name, NARROW[name], absent)


def test_the_unet_has_five_levels_and_every_level_a_skip():
    network = narrow("unet", features=[8, 16, 32, 64, 128, 4])
    assert sum(kernel == 3 for _, _, kernel, _, _ in shapes(network)) == 18
    assert len(layers(network, torch.nn.MaxPool2d)) == len(layers(network, torch.nn.ConvTranspose2d)) == 4
    joined = [network.unet.get_submodule(f"upcat_{level}.convs.conv_0.conv").in_channels for level in (4, 3, 2, 1)]
    assert joined == [64 + 64, 32 + 32, 16 + 16, 8 + 16]  # skip and what comes up
    assert shapes(network)[-1] == (4, 3, 1, 1, 1)


def test_the_unet_takes_the_norms_and_activations_of_the_texts():
    network = narrow("unet", norm="instance", activation="elu", dropout=0.2, spatial_dropout=True)
    assert len(layers(network, torch.nn.InstanceNorm2d)) == len(layers(network, torch.nn.ELU)) == 18
    assert not layers(network, torch.nn.BatchNorm2d) and not layers(network, torch.nn.LeakyReLU)
    assert {layer.p for layer in layers(network, torch.nn.Dropout2d)} == {0.2} and not layers(network, torch.nn.Dropout)
    assert all(layer.affine for layer in layers(network, torch.nn.InstanceNorm2d))
    check_evaluation(network)
    slopes = [layer.weight.tolist() for layer in layers(narrow("unet", activation="prelu"), torch.nn.PReLU)]
    assert slopes == [[0.25]] * 18
    assert len(layers(narrow("unet", activation="relu"), torch.nn.ReLU)) == 18


def test_spatial_dropout_drops_whole_maps():
    network = narrow("unet", dropout=0.5, spatial_dropout=True, activation="relu").train()
    kept = []
    layers(network, torch.nn.Dropout2d)[0].register_forward_hook(
        lambda _m, given, out: kept.append((given[0], out.clone()))
    )
    network(torch.randn(2, 4, 32, 32))
    given, out = kept[0]
    share = (out != 0).sum((2, 3)) / (given != 0).sum((2, 3)).clamp_min(1)
    assert set(share.flatten().tolist()) == {0.0, 1.0}


def test_the_attention_unet_gates_each_of_its_four_skips_between_none_and_all():
    network = narrow("attention_unet").eval()
    gates = layers(network, AttentionBlock)
    assert len(gates) == 4
    alphas = []
    for gate in gates:
        gate.psi.register_forward_hook(lambda _m, _i, alpha: alphas.append(alpha))
    skip, gating = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    assert torch.allclose(gates[0](g=gating, x=skip), skip * alphas[0])
    assert alphas[0].shape == (1, 1, 8, 8) and alphas[0].min() > 0 and alphas[0].max() < 1
    assert not torch.allclose(gates[0].psi(gates[0].relu(gates[0].W_x(skip))), alphas[0])  # g has a say
    alphas.clear()
    network(torch.randn(1, 4, 64, 64))
    assert [alpha.shape[-1] for alpha in alphas] == [4, 8, 16, 32]  # from the coarsest level up
    assert [c[3] for c in shapes(network) if c[2] == 3].count(2) == 4


def test_the_scn_keeps_one_width_adds_its_skips_and_takes_the_published_layers():
    network = narrow("scn", width=6, stem=1)
    local, spatial = shapes(network.local), shapes(network.spatial)
    # First convolution; two per level going down, one on each way across; none going up.
    assert local == [(4, 6, 3, 1, 1), *[(6, 6, 3, 1, 1)] * 12, (6, 3, 3, 1, 1)]
    assert spatial == [(3, 6, 11, 1, 1), (6, 6, 11, 1, 1), (6, 6, 11, 1, 1), (6, 3, 11, 1, 1)]
    assert {layer.negative_slope for layer in layers(network, torch.nn.LeakyReLU)} == {0.1}
    assert [layer.p for layer in layers(network, torch.nn.Dropout)] == [0.5] * 4
    kinds = [type(layer).__name__ for layer in network.spatial]
    assert kinds[0] == "AvgPool2d" and kinds[-2:] == ["Tanh", "Upsample"]
    assert network.spatial[0].kernel_size == 16 and network.spatial[-1].mode == "bicubic"


def test_the_scn_starts_with_flat_heads_without_bias():
    network = narrow("scn", width=64)
    for head in (network.local[-1], network.spatial[-3]):
        assert float(head.weight.detach().std()) == pytest.approx(1e-4, rel=0.1)
        assert abs(float(head.weight.detach().mean())) < 1e-5 and not head.bias.any()
    hidden = network.spatial[1]
    assert float(hidden.weight.detach().std()) == pytest.approx((2 / 1.01 / (3 * 121)) ** 0.5, rel=0.05)


def test_the_scn_multiplies_appearance_and_configuration():
    network = narrow("scn").eval()
    parts = {}
    network.local.register_forward_hook(lambda _m, _i, out: parts.update(local=out))
    network.spatial.register_forward_hook(lambda _m, inputs, out: parts.update(seen=inputs[0], spatial=out))
    with torch.inference_mode():
        heatmaps = network(torch.randn(1, 4, 64, 64))
    assert parts["seen"] is parts["local"]
    assert heatmaps.shape == parts["spatial"].shape and torch.equal(heatmaps, parts["local"] * parts["spatial"])


def test_the_scn_local_appearance_goes_down_by_means_and_adds_what_comes_up_to_the_skip():
    local = narrow("scn", dropout=0.0).local[2].eval()
    down, seen = [], []
    for contract, beside in zip(local.contracting, local.parallel, strict=True):
        contract.register_forward_hook(lambda _m, inputs, out: down.append((inputs[0], out)))
        beside.register_forward_hook(lambda _m, _i, out: seen.append(out))
    with torch.inference_mode():
        result = local(torch.randn(1, 4, 32, 32))
    assert [skip.shape[-1] for skip in seen] == [32, 16, 8, 4]
    for (_, finer), (coarser, _) in zip(down, down[1:], strict=False):
        blocks = finer.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        assert torch.allclose(coarser, blocks.mean(dim=(3, 5)), atol=1e-6)
    expected = seen[3]
    for skip in seen[2::-1]:
        expected = skip + torch.nn.functional.interpolate(expected, scale_factor=2, mode="bilinear")
    assert torch.allclose(result, expected)


@pytest.mark.parametrize(("grid", "divisor"), [(4, 8), (8, 8), (16, 16), (32, 32)])
def test_the_scn_configures_on_the_grid_that_is_asked_for(grid, divisor):
    network = narrow("scn", grid=grid, stem=2).eval()
    assert network.spatial[0].kernel_size == network.spatial[-1].scale_factor == grid
    options = {**NARROW["scn"], "grid": grid}
    assert find_architecture("scn", options).divisor(options) == 2 * divisor
    check_size_of_answer("scn", options)


def test_the_scn_learns_a_sigma_for_each_landmark_and_scales_its_peaks_back():
    network = narrow("scn", learned_sigma=2.5, dropout=0.0)
    image = torch.randn(1, 4, 64, 64)
    output = network.train()(image)
    assert isinstance(output, SigmaOutput) and output.sigmas.tolist() == [2.5] * 3 and output.start == 2.5
    with torch.no_grad():
        network.sigmas.copy_(torch.tensor([2.5, 5.0, -1.0]))
    heatmaps = network.eval()(image)
    scale = torch.tensor([1.0, 4.0, (0.3 / 2.5) ** 2])
    assert torch.allclose(heatmaps, output.heatmaps * scale[:, None, None])
    assert narrow("scn").state_dict().keys() == network.state_dict().keys() - {"sigmas"}


def test_the_flat_net_has_five_branches_side_by_side_and_never_pools():
    whole = narrow("flat_net", width=4, stem=1)
    (network,) = whole.networks
    assert [shapes(branch) for branch in network.branches] == [
        [(4, 4, 9, 1, rate), (4, 8, 9, 1, rate)] for rate in (1, 2, 3, 4, 5)
    ]
    assert shapes(network.joined) == [(40, 32, 5, 1, 1), (32, 16, 1, 1, 1), (16, 8, 1, 1, 1), (8, 3, 1, 1, 1)]
    assert isinstance(network.joined[-1], torch.nn.Tanh)
    kinds = {type(layer).__name__ for layer in whole.modules() if not list(layer.children())}
    assert kinds == {"PixelUnshuffle", "Conv2d", "ReLU", "Tanh"}


def test_the_flat_net_starts_with_glorots_weights():
    (network,) = narrow("flat_net", width=16, stem=1).networks
    for layer in layers(network, torch.nn.Conv2d):
        inputs, outputs = layer.weight[0].numel(), layer.weight[:, 0].numel()
        reach = (6 / (inputs + outputs)) ** 0.5
        assert 0.9 * reach < float(layer.weight.detach().abs().max()) <= reach and not layer.bias.any()


def test_landmarks_are_dealt_over_several_flat_nets_that_share_nothing():
    several = narrow("flat_net", networks=5, out_channels=21)
    assert [net.joined[-2].out_channels for net in several.networks] == [5, 4, 4, 4, 4]
    several(torch.randn(1, 4, 16, 16))[:, :5].sum().backward()
    learnt = [all(p.grad is not None for p in net.parameters()) for net in several.networks]
    untouched = [all(p.grad is None or not p.grad.any() for p in net.parameters()) for net in several.networks]
    assert learnt[0] and not untouched[0] and all(untouched[1:])
    with pytest.raises(ModelError, match="4 networks for 3 landmarks"):
        narrow("flat_net", networks=4)


@pytest.mark.parametrize(("rates", "across"), [([1, 2, 3, 4, 5], 85), ([1, 1, 1, 1, 2], 37)])
def test_a_flat_net_pixel_sees_as_far_as_its_largest_rate_reaches(rates, across):
    several = {"width": 8, "rates": rates}  # with fewer filters all may be off at a pixel
    assert seen_across(narrow("flat_net", stem=1, **several), 96, 1) == (across, across)
    assert seen_across(narrow("flat_net", stem=2, **several), 192, 2) == (2 * across, 2 * across)


@pytest.mark.parametrize(
    ("name", "size", "least"), [("unet", 256, 200), ("attention_unet", 256, 150), ("scn", 512, 512)]
)
def test_the_nets_with_levels_see_the_whole_head(name, size, least):
    """At 2 mm per pixel the head is 100 pixels long; the configuration of the SCN spans the whole image."""
    assert min(seen_across(narrow(name), size, 2)) >= least


@pytest.mark.parametrize(
    ("output_stride", "third", "fourth", "pyramid"),
    [(16, (2, 1), (2, 4, 8), (6, 12, 18)), (8, (1, 2), (4, 8, 16), (12, 24, 36))],
)
def test_the_deeplab_dilates_where_it_no_longer_pools(output_stride, third, fourth, pyramid):
    network = narrow("deeplabv3", blocks=[3, 4, 6], output_stride=output_stride)
    stages = [stage for stage in network.encoder if isinstance(stage, torch.nn.Sequential) and len(stage) > 2]
    assert [len(layers(stage, Bottleneck)) for stage in stages] == [3, 4, 6, 3]
    middles = [[layer for layer in shapes(stage) if layer[2] == 3] for stage in stages]
    assert [middle[0][3] for middle in middles] == [1, 2, third[0], 1]
    assert {middle[4] for middle in middles[0] + middles[1]} == {1}
    assert {middle[4] for middle in middles[2]} == {third[1]}
    assert tuple(middle[4] for middle in middles[3]) == fourth
    assert [(k, rate) for _, _, k, _, rate in shapes(network.pyramid.branches)] == [(1, 1), *((3, r) for r in pyramid)]
    with torch.inference_mode():
        grid = network.eval().encoder(torch.zeros(1, 4, 64, 64))
    assert grid.shape == (1, 128, 64 // output_stride, 64 // output_stride)


def test_the_deeplab_pyramid_knows_the_mean_of_the_whole_image():
    """Beyond the reach of its convolutions only image pooling connects two places."""
    pyramid = narrow("deeplabv3", output_stride=16).pyramid.eval()
    features = torch.randn(1, 128, 64, 64)
    changed = features.clone()
    changed[..., 63, 63] += 1000
    with torch.inference_mode():
        assert (pyramid(features) - pyramid(changed))[..., 10, 10].abs().max() > 1e-4
        pyramid.image.register_forward_hook(lambda _m, _i, out: torch.zeros_like(out))
        assert torch.equal(pyramid(features)[..., :40, :40], pyramid(changed)[..., :40, :40])
