import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.detection.network_input import CAP, IN_CHANNELS, encode_slices
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.networks.registry import ARCHITECTURES, build_network, find_architecture

OPTIONS = {"in_channels": 4, "out_channels": 45, "features": [24, 32, 64, 128, 128, 32], "stem": 2, "dropout": 0.0}
SMALL = {"in_channels": 4, "out_channels": 3, "features": [8] * 6, "stem": 2}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_network("unet_plus_plus", OPTIONS).eval()


def test_every_node_of_the_nested_decoder_is_there(network):
    nodes = {f"upcat_{i}_{j}" for j in range(1, 5) for i in range(5 - j)} | {f"conv_{i}_0" for i in range(5)}
    assert len(nodes) == 15
    assert nodes <= {name for name, _ in network.nested.named_children()}


def test_each_node_takes_all_earlier_nodes_of_its_level(network):
    """X(0, j) sees X(0, 0) .. X(0, j-1) and what comes up: its width grows with j, unlike a plain U-Net's."""
    seen = {}
    for j in range(1, 5):
        block = getattr(network.nested, f"upcat_0_{j}")
        block.convs.register_forward_pre_hook(lambda _m, inputs, j=j: seen.update({j: inputs[0].shape[1]}))
    network(torch.zeros(1, 4, 32, 32))
    up = {j: seen[j] - 24 * j for j in seen}
    assert set(up) == {1, 2, 3, 4} and len(set(up.values())) == 1 and up[1] > 0


def test_the_shipped_width_has_one_and_a_half_million_parameters(network):
    assert sum(p.numel() for p in network.parameters()) == 1_596_444


def test_a_heatmap_pixel_sees_more_than_ten_centimetres(network):
    image = torch.randn(1, 4, 128, 128, requires_grad=True)
    network(image)[0, :, 32, 32].sum().backward()
    reached = image.grad[0].abs().sum(0) > 0
    for axis in range(2):
        ends = np.flatnonzero(reached.any(axis).numpy())
        assert 2.0 * (ends[-1] - ends[0] + 1) > 100


def test_the_gradient_reaches_every_parameter_but_the_unused_heads():
    network = build_network("unet_plus_plus", SMALL).train()
    network(torch.randn(2, 4, 64, 64)).square().mean().backward()
    idle = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    # The heads of the shallower U-Nets only serve deep supervision.
    assert {name.split(".")[1] for name in idle} <= {"final_conv_0_1", "final_conv_0_2", "final_conv_0_3"}


def test_deep_supervision_gives_all_four_heads_in_training_the_deepest_last_and_alone_in_evaluation():
    networks = []
    for change in ({}, {"deep_supervision": True}):
        torch.manual_seed(0)
        networks.append(build_network("unet_plus_plus", {**SMALL, **change}))
    plain, deep = networks
    assert plain.state_dict().keys() == deep.state_dict().keys()
    images = torch.randn(2, 4, 64, 64)
    outputs = deep.train()(images)
    assert [output.shape for output in outputs] == [(2, 3, 32, 32)] * 4
    assert torch.equal(outputs[-1], plain.train()(images))
    assert torch.equal(deep.eval()(images), plain.eval()(images))
    sum(output.square().mean() for output in outputs).backward()
    assert [name for name, p in deep.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_mean_of_the_heads_is_that_of_the_four_answers_in_training():
    torch.manual_seed(0)
    network = build_network("unet_plus_plus", {**SMALL, "deep_supervision": True, "average_heads": True}).eval()
    images, answers = torch.randn(2, 4, 64, 64), []
    network.nested.register_forward_hook(lambda _m, _i, out: answers.extend(out))
    with torch.inference_mode():
        mean = network(images)
    assert len(answers) == 4 and all(answer.shape == mean.shape for answer in answers)
    assert torch.allclose(mean, sum(answers) / 4, atol=1e-6) and not torch.allclose(mean, answers[-1], atol=1e-3)
    with pytest.raises(ModelError, match="average_heads needs deep_supervision"):
        build_network("unet_plus_plus", {**SMALL, "average_heads": True})


@pytest.mark.parametrize(("activation", "kind"), [("elu", torch.nn.ELU), ("prelu", torch.nn.PReLU)])
def test_the_nested_decoder_takes_the_norms_and_activations_of_the_texts(activation, kind):
    change = {"norm": "instance", "activation": activation, "dropout": 0.1, "spatial_dropout": True}
    layers = list(build_network("unet_plus_plus", {**SMALL, **change}).modules())
    counted = {name: sum(isinstance(layer, name) for layer in layers) for name in (kind, torch.nn.InstanceNorm2d)}
    assert counted == {kind: 30, torch.nn.InstanceNorm2d: 30}
    assert not any(isinstance(layer, (torch.nn.BatchNorm2d, torch.nn.LeakyReLU, torch.nn.Dropout)) for layer in layers)


def test_evaluation_is_deterministic_and_slices_do_not_influence_each_other():
    network = build_network("unet_plus_plus", {**SMALL, "dropout": 0.5}).eval()
    images = torch.randn(3, 4, 32, 32)
    with torch.inference_mode():
        together, again, alone = network(images), network(images), network(images[1:2])
    assert torch.equal(together, again)
    assert torch.allclose(together[1:2], alone, atol=1e-5)


@pytest.mark.parametrize("stem", [1, 2, 4])
def test_inputs_of_the_stated_divisor_come_out_coarser_by_the_stem(stem):
    options = {**SMALL, "stem": stem}
    divisor = find_architecture("unet_plus_plus", options).divisor(options)
    network = build_network("unet_plus_plus", options).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 4, divisor, 2 * divisor)).shape == (1, 3, divisor // stem, 2 * divisor // stem)


def test_a_shifted_image_gives_a_shifted_heatmap():
    """The stem must not mix up the order of pixels: away from the border nothing else changes."""
    torch.manual_seed(1)
    network = build_network("unet_plus_plus", SMALL).eval()
    image = torch.zeros(1, 4, 256, 256)
    image[:, :, 112:128, 112:128] = torch.randn(1, 4, 16, 16)
    with torch.inference_mode():
        still, moved = network(image), network(image.roll((0, 32), (2, 3)))
    assert torch.allclose(still[..., 40:72, 40:72], moved[..., 40:72, 56:88], atol=1e-4)
    assert still[..., 40:72, 40:72].std() > 1e-4


def test_an_unknown_architecture_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ModelError, match="os.system.*Known ones: .*unet, unet_plus_plus"):
        build_network("os.system", {})


@pytest.mark.parametrize(
    "change",
    [
        {"act": "relu"},
        {"__class__": "x"},
        {"in_channels": 0},
        {"in_channels": True},
        {"out_channels": 10**9},
        {"features": [8] * 5},
        {"features": [8, 8, 8, 8, 8, -1]},
        {"features": "888888"},
        {"stem": 3},
        {"stem": True},
        {"stem": [2]},
        {"dropout": 1.0},
        {"dropout": True},
        {"deep_supervision": 1},
    ],
)
def test_an_option_that_is_unknown_or_out_of_range_is_refused(change):
    with pytest.raises(ModelError, match=f"option {next(iter(change))}=") as caught:
        build_network("unet_plus_plus", {**SMALL, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("absent", ["in_channels", "out_channels", "features", "stem"])
def test_an_option_that_decides_shapes_has_no_default(absent):
    """Loader and network would each assume their own."""
    options = {key: value for key, value in SMALL.items() if key != absent}
    with pytest.raises(ModelError, match=f"cannot be built.*{absent}"):
        build_network("unet_plus_plus", options)


def test_all_options_are_checked():
    for architecture in ARCHITECTURES.values():
        assert all(callable(check) for check in architecture.options.values())


def test_the_network_sees_the_image_around_zero_and_the_plane():
    images = np.array([[[0.0, 1.0], [0.5, CAP]], [[0.0, 0.0], [0.0, 0.0]]], np.float32)
    encoded = encode_slices(images, [2, 0])
    assert encoded.shape == (2, IN_CHANNELS, 2, 2) and encoded.dtype == np.float32
    assert encoded[0, 0].flatten().tolist() == pytest.approx([-1, 1, 0, 2 * CAP - 1])
    assert encoded[0, 1:].mean(axis=(1, 2)).tolist() == [0, 0, 1]
    assert encoded[1, 1:].mean(axis=(1, 2)).tolist() == [1, 0, 0]


def test_the_heads_of_the_nested_network_stay_in_float32_where_the_rest_is_rounded():
    torch.manual_seed(0)
    network = build_network("unet_plus_plus", SMALL).eval()
    images = torch.randn(1, 4, 64, 64)
    with torch.inference_mode():
        exact = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network(images)
    assert network.float32_heads and rounded.dtype == torch.float32
    assert not torch.equal(rounded, rounded.bfloat16().float())
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()


def test_in_use_the_nested_network_answers_as_monai_s_deepest_head():
    from monai.networks.nets import BasicUNetPlusPlus

    options = {**SMALL, "features": [8, 12, 16, 20, 24, 10], "stem": 1}
    network = build_network("unet_plus_plus", options).eval()
    act = ("LeakyReLU", {"inplace": True, "negative_slope": 0.1})
    theirs = BasicUNetPlusPlus(2, 4, 3, options["features"], act=act, norm="batch").eval()
    theirs.load_state_dict(network.nested.state_dict())
    images = torch.randn(2, 4, 32, 48)
    assert torch.equal(network(images), theirs(images)[-1])
