"""The nested decoder on pluggable encoders, against the papers and the public classifiers' sizes."""

import pytest
import torch
from monai.networks.nets import EfficientNetBN

from AutoVolumeCalibrationLib.core.detection.backends.torch_network import prepare_for_inference
from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.networks.architectures.encoders import build_encoder
from AutoVolumeCalibrationLib.core.networks.architectures.resnet import BasicBlock, Bottleneck
from AutoVolumeCalibrationLib.core.networks.registry import ENCODERS, build_network, find_architecture

NAME = "encoder_unet_plus_plus"
SMALL = {"in_channels": 4, "out_channels": 3, "encoder": "resnet18", "decoder": [8, 6, 4, 2], "stem": 2}

#: Published parameters of the classifiers, and of the layers that a landmark network leaves out.
PUBLISHED = {
    "vgg19": 20_024_384,
    "vgg19_bn": 20_035_392,
    "resnet18": 11_689_512 - 513_000,
    "resnet34": 21_797_672 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "resnet101": 44_549_160 - 2_049_000,
    "resnext50_32x4d": 25_028_904 - 2_049_000,
    "resnext101_32x8d": 88_791_336 - 2_049_000,
}
#: Of EfficientNet: all parameters, and the filters in front of and in the head convolution.
EFFICIENTNETS = {
    "efficientnet-b0": (5_288_548, 320, 1280),
    "efficientnet-b1": (7_794_184, 320, 1280),
    "efficientnet-b2": (9_109_994, 352, 1408),
    "efficientnet-b3": (12_233_232, 384, 1536),
    "efficientnet-b4": (19_341_616, 448, 1792),
    "efficientnet-b5": (30_389_784, 512, 2048),
    "efficientnet-b6": (43_040_704, 576, 2304),
    "efficientnet-b7": (66_347_960, 640, 2560),
}


def on_meta(build, *arguments):
    with torch.device("meta"):
        return build(*arguments)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def small(**change):
    torch.manual_seed(0)
    return build_network(NAME, {**SMALL, **change})


def test_every_registered_encoder_is_compared_with_its_publication():
    assert set(PUBLISHED) | set(EFFICIENTNETS) == set(ENCODERS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_encoder_has_the_published_number_of_parameters_without_its_classifier(name):
    assert parameters(on_meta(build_encoder, name, 3)) == PUBLISHED[name]


@pytest.mark.parametrize("name", EFFICIENTNETS)
def test_an_efficientnet_has_the_published_number_of_parameters_without_head_and_classifier(name):
    everything, width, head = EFFICIENTNETS[name]
    left_out = width * head + 2 * head + (head + 1) * 1000
    assert parameters(on_meta(build_encoder, name, 3)) == everything - left_out


@pytest.mark.parametrize("name", ENCODERS)
def test_the_maps_of_an_encoder_are_as_wide_and_coarse_as_it_states(name):
    encoder = on_meta(build_encoder, name, 4)
    shapes = [tuple(level.shape) for level in encoder(torch.zeros(2, 4, 64, 96, device="meta"))]
    stated = zip(encoder.widths, encoder.strides, strict=True)
    assert shapes == [(2, width, 64 // stride, 96 // stride) for width, stride in stated]


def test_the_layers_of_vgg19_are_those_of_configuration_e():
    features = on_meta(build_encoder, "vgg19", 3).features
    plan = [layer.out_channels if isinstance(layer, torch.nn.Conv2d) else "pool" for layer in features
            if not isinstance(layer, torch.nn.ReLU)]  # fmt: skip
    blocks = [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4]
    assert plan == [layer for block in blocks for layer in (*block, "pool")]
    assert {layer.kernel_size for layer in features if isinstance(layer, torch.nn.Conv2d)} == {(3, 3)}


@pytest.mark.parametrize(
    ("name", "kind", "blocks", "groups", "inner"),
    [
        ("resnet18", BasicBlock, [2, 2, 2, 2], 1, [64, 128, 256, 512]),
        ("resnet34", BasicBlock, [3, 4, 6, 3], 1, [64, 128, 256, 512]),
        ("resnet101", Bottleneck, [3, 4, 23, 3], 1, [64, 128, 256, 512]),
        ("resnext50_32x4d", Bottleneck, [3, 4, 6, 3], 32, [128, 256, 512, 1024]),
        ("resnext101_32x8d", Bottleneck, [3, 4, 23, 3], 32, [256, 512, 1024, 2048]),
    ],
)
def test_the_stages_of_a_residual_network_are_the_published_ones(name, kind, blocks, groups, inner):
    encoder = on_meta(build_encoder, name, 3)
    stages = [encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4]
    assert [len(stage) for stage in stages] == blocks
    assert {type(block) for stage in stages for block in stage} == {kind}
    convolutions = [[block.conv2 for block in stage] for stage in stages]
    assert [{c.out_channels for c in stage} for stage in convolutions] == [{width} for width in inner]
    assert {c.groups for stage in convolutions for c in stage} == {groups}
    halving = "conv2" if kind is Bottleneck else "conv1"  # torchvision strides the 3x3 convolution
    assert [getattr(stage[0], halving).stride[0] for stage in stages] == [1, 2, 2, 2]


def test_the_parameters_are_named_as_in_the_public_checkpoints():
    vgg, bn = (on_meta(build_encoder, name, 3).state_dict() for name in ("vgg19", "vgg19_bn"))
    assert [key for key in vgg if key.endswith("weight")] == [
        f"features.{n}.weight" for n in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    ]
    assert bn["features.49.weight"].shape == (512, 512, 3, 3) and "features.50.running_mean" in bn
    keys = on_meta(build_encoder, "resnet50", 3).state_dict().keys()
    assert {"conv1.weight", "bn1.running_var", "layer1.0.conv1.weight", "layer4.2.bn3.bias"} <= keys
    assert sorted(key for key in keys if "downsample" in key and key.endswith("0.weight")) == [
        f"layer{stage}.0.downsample.0.weight" for stage in (1, 2, 3, 4)
    ]
    assert "layer1.0.downsample.0.weight" not in on_meta(build_encoder, "resnet18", 3).state_dict()


def test_an_efficientnet_gives_the_maps_that_monai_classifies_from():
    torch.manual_seed(0)
    whole, image = EfficientNetBN("efficientnet-b0", pretrained=False).eval(), torch.randn(1, 3, 64, 64)
    encoder = build_encoder("efficientnet-b0", 3).eval()
    encoder.load_state_dict(whole.state_dict(), strict=False)
    seen = []
    whole._blocks.register_forward_hook(lambda _m, _i, out: seen.append(out))
    with torch.inference_mode():
        whole(image)
        assert torch.equal(encoder(image)[-1], seen[0])


#: Widths of the decoder of segmentation_models, finest first; the thesis' three encoders.
LIBRARY = {"decoder": [16, 32, 64, 128, 256], "stem": 1, "form": "segmentation_models"}


@pytest.mark.parametrize(
    ("change", "count"),
    [
        # The library counts a block too that its forward pass never uses: 2 (9 * 512^2 + 2 * 512).
        ({"encoder": "vgg19", **LIBRARY}, 44_657_041 - 4_720_640),
        ({"encoder": "efficientnet-b7", **LIBRARY}, 66_192_481),
        ({"encoder": "resnext101_32x8d", **LIBRARY}, 112_220_049),
        # Zhou's Keras code, whose final convolution is 3x3 (+ 8 * 32) and whose widths wrap round.
        ({"encoder": "vgg19", "decoder": [32, 64, 128, 256, 16], "stem": 1}, 29_847_329 - 8 * 32),
    ],
)
def test_the_whole_has_the_parameters_of_the_original(change, count):
    options = {**SMALL, **change, "in_channels": 3, "out_channels": 1}
    assert parameters(on_meta(lambda: build_network(NAME, options))) == count


@pytest.mark.parametrize(("stem", "rows"), [(1, 5), (2, 4)])
def test_over_vgg19_the_rows_end_at_stride_32(stem, rows):
    network = small(encoder="vgg19", stem=stem, decoder=[4] * rows).eval()
    below = {}
    network.nodes[f"{rows - 1}_1"].register_forward_hook(lambda _m, given, _o: below.update(size=given[0].shape[-1]))
    with torch.inference_mode():
        network(torch.zeros(1, 4, 64, 64))
    assert below["size"] == 4 and network.encoder(torch.zeros(1, 4, 64, 64))[-1].shape[-1] == 2


def test_a_decoder_of_an_earlier_version_over_vgg19_still_ends_at_stride_16():
    network = small(encoder="vgg19", stem=1, decoder=[4] * 4).eval()
    assert set(network.nodes) == {f"{i}_{j}" for j in range(1, 5) for i in range(5 - j)}
    assert network.nodes["3_1"].conv_0.conv.in_channels == 512 + 512
    with torch.inference_mode():
        assert network(torch.zeros(1, 4, 32, 32)).shape == (1, 3, 32, 32)


def test_in_the_librarys_form_earlier_nodes_are_as_wide_as_the_encoder_and_the_image_row_has_one():
    network = small(encoder="resnet18", **{**LIBRARY, "decoder": [4, 6, 8, 10, 12]}).eval()
    widths = {}
    for name, node in network.nodes.items():
        node.register_forward_hook(lambda _m, given, out, name=name: widths.update({name: (given[0], out)}))
    with torch.inference_mode():
        heatmaps = network(torch.randn(1, 4, 64, 64))
    out = {name: result.shape[1] for name, (_, result) in widths.items()}
    assert out == {"4_1": 12, "3_1": 128, "2_1": 64, "1_1": 64, "3_2": 10, "2_2": 64, "1_2": 64, "2_3": 8,
                   "1_3": 64, "1_4": 6, "0_5": 4}  # fmt: skip
    above, below = widths["0_5"][0], widths["1_4"][1]
    assert torch.equal(
        above, below.repeat_interleave(2, 2).repeat_interleave(2, 3)
    )  # the nearest pixel, nothing beside
    assert heatmaps.shape[-2:] == (64, 64) and network.heads[0].kernel_size == (3, 3)


def test_the_mean_of_the_heads_is_that_of_the_answers_in_training():
    network = small(deep_supervision=True, average_heads=True).eval()
    nodes = {}
    for j in range(1, 5):
        network.nodes[f"0_{j}"].register_forward_hook(lambda _m, _i, out, j=j: nodes.update({j: out}))
    with torch.inference_mode():
        mean = network(torch.randn(1, 4, 64, 64))
        answers = [head(nodes[j]) for j, head in enumerate(network.heads, start=1)]
    assert torch.allclose(mean, sum(answers) / 4, atol=1e-6)
    assert not torch.allclose(mean, answers[-1], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"average_heads": True}, "average_heads needs deep_supervision"),
        ({**LIBRARY, "deep_supervision": True}, "segmentation_models has one head"),
    ],
)
def test_a_mean_of_one_head_is_refused(change, message):
    with pytest.raises(ModelError, match=message):
        small(**change)


def test_every_node_takes_all_earlier_nodes_of_its_row_and_the_one_below():
    network = small(stem=2).eval()
    inputs, outputs = {}, {}

    def record(name):
        def hook(_module, given, result):
            inputs[name], outputs[name] = given[0], result

        return hook

    def record_levels(_module, _given, levels):
        outputs.update({f"{i}_0": level for i, level in enumerate(levels)})

    for name, node in network.nodes.items():
        node.register_forward_hook(record(name))
    network.encoder.register_forward_hook(record_levels)
    with torch.inference_mode():
        network(torch.randn(1, 4, 64, 64))
    assert set(network.nodes) == {f"{i}_{j}" for j in range(1, 5) for i in range(5 - j)}
    for name, given in inputs.items():
        i, j = (int(number) for number in name.split("_"))
        below = torch.nn.functional.interpolate(outputs[f"{i + 1}_{j - 1}"], scale_factor=2, mode="bilinear")
        expected = torch.cat([*(outputs[f"{i}_{k}"] for k in range(j)), below], dim=1)
        assert torch.equal(given, expected), name


def test_a_row_has_one_width_and_the_finest_one_the_grid_of_the_heatmaps():
    network = small().eval()
    widths = {}
    for name, node in network.nodes.items():
        node.register_forward_hook(lambda _m, _i, out, name=name: widths.update({name: tuple(out.shape[1:3])}))
    network(torch.zeros(1, 4, 64, 64))
    assert {name: widths[name] for name in ("0_1", "0_4", "1_3", "2_1", "3_1")} == {
        "0_1": (8, 32), "0_4": (8, 32), "1_3": (6, 16), "2_1": (4, 8), "3_1": (2, 4)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("encoder", "stem", "rows"),
    [("resnet18", 1, 5), ("resnet18", 4, 3), ("vgg19", 1, 5), ("vgg19", 4, 3), ("efficientnet-b0", 2, 4)],
)
def test_the_finest_row_has_the_stride_that_was_asked_for(encoder, stem, rows):
    network = small(encoder=encoder, stem=stem, decoder=[4] * rows).eval()
    with torch.inference_mode():
        heatmaps = network(torch.zeros(1, 4, 32, 64))
    assert heatmaps.shape == (1, 3, 32 // stem, 64 // stem)
    assert find_architecture(NAME, SMALL).divisor(SMALL) == 32


@pytest.mark.parametrize("change", [{}, {"stem": 1, "decoder": [4] * 5}, {"encoder": "efficientnet-b0"}])
def test_the_gradient_reaches_every_parameter(change):
    network = small(**change).train()
    network(torch.randn(2, 4, 64, 64)).square().mean().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_with_deep_supervision_every_finest_node_answers_while_training_and_the_last_one_later():
    network = small(deep_supervision=True)
    nodes = {}
    for j in range(1, 5):
        network.nodes[f"0_{j}"].register_forward_hook(lambda _m, _i, out, j=j: nodes.update({j: out}))
    image = torch.randn(2, 4, 64, 64)
    answers = network.train()(image)
    assert len(answers) == 4
    assert all(torch.equal(a, network.heads[j - 1](nodes[j])) for j, a in enumerate(answers, start=1))
    sum(answer.square().mean() for answer in answers).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    with torch.inference_mode():
        last = network.eval()(image)
        assert torch.equal(last, network.heads[-1](nodes[4]))


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet-b0"])
def test_evaluation_is_deterministic_and_slices_do_not_influence_each_other(encoder):
    network = small(encoder=encoder).eval()
    images = torch.randn(3, 4, 64, 64)
    with torch.inference_mode():
        together, again, alone = network(images), network(images), network(images[1:2])
    assert torch.equal(together, again)
    assert torch.allclose(together[1:2], alone, rtol=1e-4, atol=1e-5 * float(together.abs().max()))


def test_the_decoders_norms_can_be_folded_for_inference():
    network = small().train()
    network(torch.randn(4, 4, 64, 64))  # moves the norms' statistics away from where they start
    image = torch.randn(1, 4, 64, 64)
    with torch.inference_mode():
        expected = network.eval()(image)
        folded = prepare_for_inference(network)
        assert torch.allclose(folded(image), expected, rtol=1e-3, atol=1e-5)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in folded.nodes.modules())


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": "resnet1000"},
        {"encoder": ["resnet18"]},
        {"encoder": "os.system"},
        {"decoder": []},
        {"decoder": [8] * 6},
        {"decoder": [8, 8, 8, 0]},
        {"decoder": [8, 8, 8, 10**6]},
        {"decoder": "8888"},
        {"deep_supervision": 1},
        {"stem": 8},
        {"form": "keras"},
        {"average_heads": 1},
        {"weights": "file.pth"},
    ],
)
def test_an_option_that_is_unknown_or_absurd_is_refused(change):
    with pytest.raises(ModelError, match=f"option {next(iter(change))}="):
        small(**change)


@pytest.mark.parametrize("absent", SMALL)
def test_an_option_that_decides_shapes_has_no_default(absent):
    with pytest.raises(ModelError, match=f"cannot be built.*{absent}"):
        build_network(NAME, {key: value for key, value in SMALL.items() if key != absent})


def test_a_decoder_of_another_depth_than_the_encoder_is_told_how_many_widths_it_needs():
    with pytest.raises(ModelError, match="decoder needs 3 widths for vgg19 at stem 4, not 4"):
        small(encoder="vgg19", stem=4)
