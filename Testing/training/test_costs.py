"""What networks cost is counted in multiply-adds, the same for all kinds of convolutions."""

import math

import pytest
import torch

from LandmarkTrainingLib.core.experiments.ablations import costs

CONVOLUTIONS = {
    "plain": torch.nn.Conv2d(8, 12, 3),
    "strided": torch.nn.Conv2d(8, 12, 3, stride=2, padding=1),
    "in groups": torch.nn.Conv2d(8, 12, 3, groups=4),
    "of each channel": torch.nn.Conv2d(8, 8, 5, groups=8),
    "transposed": torch.nn.ConvTranspose2d(8, 12, 2, stride=2),
    "transposed, in groups": torch.nn.ConvTranspose2d(8, 12, 2, stride=2, groups=4),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_the_gradients_of_a_convolution_cost_twice_the_convolution(kind):
    layer, image = CONVOLUTIONS[kind], torch.randn(2, 8, 10, 14, requires_grad=True)
    forward = costs._multiply_adds(lambda: layer(image))
    # Each weight meets the pixels of the smaller one of the two images once.
    smaller = min(layer(image).shape[2:].numel(), image.shape[2:].numel())
    assert forward == 2 * smaller * math.prod(layer.weight.shape)
    assert costs._multiply_adds(lambda: layer(image).sum().backward()) == 3 * forward


def test_an_image_that_needs_no_gradient_costs_none():
    layer, image = CONVOLUTIONS["in groups"], torch.randn(2, 8, 10, 14)
    assert costs._multiply_adds(lambda: layer(image).sum().backward()) == 2 * costs._multiply_adds(lambda: layer(image))
