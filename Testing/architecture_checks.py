"""What every network is asked: published size, shapes, gradient, evaluation, and what it sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AutoVolumeCalibrationLib.core.errors import ModelError
from AutoVolumeCalibrationLib.core.networks.registry import build_network, find_architecture

#: The image with its plane, to three landmarks.
CHANNELS = {"in_channels": 4, "out_channels": 3}


def built(name, options):
    """A network from ``options`` and CHANNELS, the same one every time."""
    torch.manual_seed(0)
    return build_network(name, {**CHANNELS, **options})


def parameter_count(name, options):
    """Parameters of a network from ``options`` and CHANNELS; takes no memory."""
    with torch.device("meta"):
        network = build_network(name, {**CHANNELS, **options})
    return sum(p.numel() for p in network.parameters())


def layers(network, kind):
    return [layer for layer in network.modules() if isinstance(layer, kind)]


def shapes(network, kind=torch.nn.Conv2d):
    """(inputs, outputs, kernel, stride, dilation) of each convolution, in the order they are made."""
    return [
        (c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0], c.dilation[0]) for c in layers(network, kind)
    ]


def tensors_of(output):
    """All tensors of an output: of one, of a tuple of them, or of a list of either."""
    if isinstance(output, torch.Tensor):
        return [output]
    return [tensor for part in output for tensor in tensors_of(part)]


def reached_by(value, image):
    """Rows and columns of ``image`` (1, c, H, W) that a scalar ``value`` depends on, ends included."""
    (gradient,) = torch.autograd.grad(value, image)
    reached = gradient[0].abs().sum(0) > 0
    ends = [np.flatnonzero(reached.any(axis).numpy()) for axis in (1, 0)]
    return tuple(int(e[-1] - e[0] + 1) for e in ends)


def seen_across(network, size, stem):
    """Rows and columns of the image that one heatmap pixel in the middle depends on."""
    image = torch.randn(1, 4, size, size, requires_grad=True)
    middle = size // stem // 2
    return reached_by(network.eval()(image)[0, :, middle, middle].sum(), image)


def check_size_of_answer(name, options):
    """The smallest input of the stated divisor comes out coarser by the stem."""
    divisor, stem = find_architecture(name, options).divisor(options), options["stem"]
    with torch.inference_mode():
        heatmaps = built(name, options).eval()(torch.zeros(1, 4, divisor, 2 * divisor))
    assert heatmaps.shape == (1, 3, divisor // stem, 2 * divisor // stem)


def idle_parameters(network, size=64):
    """Names of the parameters that get no gradient from what the network answers with in training mode."""
    torch.manual_seed(1)
    outputs = tensors_of(network.train()(torch.randn(2, 4, size, size)))
    sum(output.float().square().mean() for output in outputs).backward()
    return [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def check_evaluation(network, size=64):
    """Two evaluations agree, and a slice's answer does not depend on the other slices of the batch."""
    network.eval()
    torch.manual_seed(1)
    images = torch.randn(3, 4, size, size)
    with torch.inference_mode():
        together, again, alone = network(images), network(images), network(images[1:2])
    assert torch.equal(together, again)
    assert torch.allclose(together[1:2], alone, rtol=1e-4, atol=1e-5 * float(together.abs().max()))


def check_refusal(name, options, change):
    """The registry names the option it refuses, and the network."""
    with pytest.raises(ModelError, match=f"option {next(iter(change))}=.*{name}"):
        built(name, {**options, **change})


def check_needed(name, options, absent):
    """An option that decides shapes has no default: loader and trainer would each assume their own."""
    present = {key: value for key, value in {**CHANNELS, **options}.items() if key != absent}
    with pytest.raises(ModelError, match=f"cannot be built.*{absent}"):
        build_network(name, present)
