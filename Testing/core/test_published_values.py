"""Our networks against numbers that were computed once with the code of their authors (``published_values.json``).

How: our network was filled by ``filled_networks``, its state copied into the original module by module, and both given
the same noise. The file keeps sixteen of the original's values for each output, with repository, commit and licence.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from monai.networks.nets.attentionunet import AttentionBlock

from AutoVolumeCalibrationLib.core.networks.architectures.encoders import build_encoder
from AutoVolumeCalibrationLib.core.networks.architectures.gu2net import GlobalNetwork, LocalNetwork
from AutoVolumeCalibrationLib.core.networks.architectures.hourglass import Hourglass, MultiScaleResidual
from AutoVolumeCalibrationLib.core.networks.architectures.point_head import (
    pixel_positions,
    spatial_softmax,
    weighted_mean,
)
from AutoVolumeCalibrationLib.core.networks.registry import build_network
from filled_networks import filled, largest_difference, noise

PUBLISHED = json.loads((Path(__file__).parent / "published_values.json").read_text(encoding="utf-8"))
#: Of the largest value: rounding of single precision in another order.
TOLERANCE = 2e-5


def stacked_hourglass():
    options = {"in_channels": 3, "out_channels": 16, "width": 256, "depth": 4, "stacks": 2, "stem": 4}
    network = filled(build_network("stacked_hourglass", options)).train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()
    return network(noise(1, 3, 64, 64))


def kneel_block():
    return [filled(MultiScaleResidual(8, 16, 3))(noise(1, 8, 12, 10))]


def kneel_hourglass():
    block = partial(MultiScaleResidual, skip_kernel=3)
    return [filled(Hourglass(3, 8, 8, 16, block, 3, "bilinear", True))(noise(1, 8, 16, 24))]


def kneel_soft_argmax():
    maps = 3 * noise(1, 3, 16, 24)
    points = weighted_mean(spatial_softmax(maps), pixel_positions((16, 24), maps.device))
    return [points.flip(-1) / torch.tensor([24.0, 16.0])]


def gu2net_local():
    local = filled(LocalNetwork(1, [19, 19], [64, 128, 256, 512, 512]))
    return [torch.sigmoid(local(noise(1, 1, 32, 48), 1))]


def gu2net_global():
    """On blocks of equal pixels, whose mean is the nearest pixel, and before the maps grow again."""
    network, seen = filled(GlobalNetwork(1, 19, 128)), []
    network.leave.register_forward_hook(lambda _m, _i, out: seen.append(torch.sigmoid(out)))
    network(in_blocks(noise(1, 1, 8, 10)), in_blocks(noise(1, 19, 8, 10, seed=5)))
    return seen


def in_blocks(image):
    return image.repeat_interleave(4, 2).repeat_interleave(4, 3)


def attention_gate():
    """The original has no norms in the gate: here they change nothing."""
    gate, weights = AttentionBlock(2, f_int=4, f_g=8, f_l=6).eval(), attention_weights()
    for part, (weight, bias) in zip((gate.W_g, gate.W_x, gate.psi), weights, strict=True):
        part[0].conv.load_state_dict({"weight": weight, "bias": bias})
        part[1].running_var.fill_(1 - part[1].eps)
    features = noise(1, 6, 5, 6, seed=3)
    return [(gate(g=noise(1, 8, 5, 6), x=features) / features)[:, :1]]


def attention_weights():
    """Weights and biases of both inputs and of psi; the skip has no bias in the original."""
    drawn = iter(torch.split(noise(4 * 8 + 4 + 4 * 6 + 4 + 4 + 1, seed=1), [32, 4, 24, 4, 4, 1]))
    parts = [(next(drawn).reshape(shape), next(drawn)) for shape in ((4, 8, 1, 1), (4, 6, 1, 1), (1, 4, 1, 1))]
    parts[1] = (parts[1][0], torch.zeros(4))
    return parts


def deeplabv3():
    options = {"in_channels": 3, "out_channels": 2, "width": 64, "blocks": [1, 1, 1], "output_stride": 16, "stem": 1}
    network = filled(build_network("deeplabv3", options))
    features = network.encoder(noise(1, 3, 64, 80))
    return [features, network.pyramid(features)]


def unet_plus_plus_vgg19():
    options = {"encoder": "vgg19", "decoder": [16, 32, 64, 128, 256], "stem": 1, "form": "segmentation_models"}
    network = filled(build_network("encoder_unet_plus_plus", {"in_channels": 3, "out_channels": 1, **options}))
    return [network(noise(1, 3, 64, 32))]


def efficientnet():
    maps = filled(build_encoder("efficientnet-b0", 3))(noise(1, 3, 64, 64))
    return [maps[0], maps[2], maps[4]]


def coarsest_map(name):
    return [filled(build_encoder(name, 3))(noise(1, 3, 32, 32))[-1]]


OURS = {
    "stacked_hourglass": stacked_hourglass,
    "kneel_block": kneel_block,
    "kneel_hourglass": kneel_hourglass,
    "kneel_soft_argmax": kneel_soft_argmax,
    "gu2net_local": gu2net_local,
    "gu2net_global": gu2net_global,
    "attention_gate": attention_gate,
    "deeplabv3": deeplabv3,
    "unet_plus_plus_vgg19": unet_plus_plus_vgg19,
    "efficientnet": efficientnet,
    **{name: partial(coarsest_map, name) for name in ("vgg19", "resnet18", "resnext50_32x4d")},
}


@pytest.mark.parametrize("name", OURS)
def test_a_network_gives_the_values_of_the_original(name):
    with torch.no_grad():
        assert largest_difference(OURS[name](), PUBLISHED[name]["values"]) < TOLERANCE


def test_every_published_value_names_its_source_and_is_compared():
    assert PUBLISHED.keys() == OURS.keys() | {"wing"}  # which is compared in test_losses.py
    assert all(entry["source"] and entry["licence"] and entry["what"] for entry in PUBLISHED.values())


def test_the_comparison_notices_a_hourglass_without_its_aligned_corners():
    block = partial(MultiScaleResidual, skip_kernel=3)
    with torch.no_grad():
        other = [filled(Hourglass(3, 8, 8, 16, block, 3, "bilinear", False))(noise(1, 8, 16, 24))]
    assert largest_difference(other, PUBLISHED["kneel_hourglass"]["values"]) > 0.01
