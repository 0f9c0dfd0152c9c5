"""bfloat16 in training: where it is used, and where its gradients would be wrong."""

import pytest
import torch

from LandmarkTrainingLib.core.training.arithmetic import arithmetic

CPU = torch.device("cpu")


def gradients(layer, image):
    """Of the weights, by a pass in bfloat16, with memory full of what is not a number to take them from."""
    full = [torch.full_like(layer.weight, torch.nan) for _ in range(3)]
    del full
    with arithmetic(CPU, bf16=True):
        answer = layer(image)
    layer.weight.grad = None
    answer.float().square().sum().backward()
    return layer.weight.grad


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.Conv2d(128, 128, 11, padding=5),
        torch.nn.Conv2d(64, 64, 3, padding=6, dilation=6),
        torch.nn.Conv2d(64, 64, 11, padding="same"),
        torch.nn.Conv2d(64, 64, 3, stride=2, padding=1),
    ],
    ids=["wide", "dilated", "same", "strided"],
)
@pytest.mark.parametrize("side", [1, 2, 4])
def test_weights_that_meet_no_pixel_have_no_gradient(layer, side):
    image = torch.randn(4, layer.in_channels, side, side)
    exact = torch.nn.grad.conv2d_weight
    padding = 5 if layer.padding == "same" else layer.padding
    output = layer(image).detach()
    wanted = exact(image, layer.weight.shape, 2 * output, layer.stride, padding, layer.dilation)
    for _ in range(5):
        found = gradients(layer, image)
        assert torch.isfinite(found).all()
        assert (found[wanted == 0] == 0).all()
        assert torch.allclose(found, wanted, rtol=0.05, atol=0.02 * float(wanted.abs().max()))


@pytest.mark.parametrize(("side", "expected"), [(4, torch.float32), (16, torch.bfloat16)])
def test_kernels_that_reach_further_than_their_maps_alone_are_in_float32(side, expected):
    layer, seen = torch.nn.Conv2d(4, 4, 11, padding=5), []
    with arithmetic(CPU, bf16=True):
        seen.append(layer(torch.randn(1, 4, side, side)).dtype)
    with arithmetic(CPU, bf16=False):
        seen.append(layer(torch.randn(1, 4, side, side)).dtype)
    assert seen == [expected, torch.float32]


def test_volumes_and_a_layer_without_bias_too():
    layer = torch.nn.Conv3d(2, 2, 3, padding=1, bias=False)
    with arithmetic(CPU, bf16=True):
        assert layer(torch.randn(1, 2, 1, 1, 1)).dtype == torch.float32
        assert layer(torch.randn(1, 2, 8, 8, 8)).dtype == torch.bfloat16
