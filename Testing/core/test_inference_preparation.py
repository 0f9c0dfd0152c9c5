"""A network prepared for inference answers as before."""

import pytest
import torch

from AutoVolumeCalibrationLib.core.detection.backends.torch_network import prepare_for_inference
from AutoVolumeCalibrationLib.core.networks.registry import build_network

OPTIONS = {"in_channels": 4, "out_channels": 5, "features": [8, 8, 16, 16, 16, 8], "stem": 2, "dropout": 0.0}


@pytest.fixture
def network():
    """A network whose batch norms have seen data, so that folding them away makes a difference where it is wrong."""
    torch.manual_seed(0)
    network = build_network("unet_plus_plus", OPTIONS).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(4, 4, 64, 64) * 3 + 1)
        for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.weight.uniform_(0.5, 2)
            norm.bias.uniform_(-1, 1)
    return network.eval()


def test_the_answer_stays_and_no_norm_is_left(network):
    image = torch.randn(2, 4, 64, 96)
    with torch.inference_mode():
        before = network(image)
    prepared = prepare_for_inference(network)
    with torch.inference_mode():
        after = prepared(image.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(before, after, atol=1e-4 * float(before.abs().max()))
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in prepared.modules())


def test_a_network_without_such_blocks_is_left_as_it_is():
    plain = torch.nn.Sequential(torch.nn.Conv2d(4, 3, 3), torch.nn.BatchNorm2d(3)).eval()
    image = torch.randn(1, 4, 16, 16)
    before = plain(image)
    assert torch.allclose(prepare_for_inference(plain)(image), before, atol=1e-6)
