"""Run a network with PyTorch, faster without changing its output."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

#: Processors with one of these multiply bfloat16 about twice as fast as float32; others emulate it slowly.
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def run_module(network: torch.nn.Module, device: str, images: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """(n, k, h, w) float32 heatmaps of ``images`` (n, 4, H, W), with guidance ``known`` (n, k, h, w) or without."""
    import torch

    with torch.inference_mode(), inference_autocast(network, device):
        batch = torch.from_numpy(images).to(device).contiguous(memory_format=torch.channels_last)
        guidance = [] if known is None else [torch.from_numpy(known).to(device)]
        return network(batch, *guidance).float().cpu().numpy()


def prepare_for_inference(network: torch.nn.Module) -> torch.nn.Module:
    """The network, changed in place: batch norms folded into their convolutions, weights in channels-last order.

    Both together took the bundled U-Net++ from 15 to 9.5 ms per slice on one processor core; the heatmaps differ
    by rounding (1e-6). Only MONAI's blocks of a convolution followed by a norm are folded.

    Args:
        network: in evaluation mode; it cannot be trained afterwards.
    """
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for block in network.modules():
        convolution, rest = getattr(block, "conv", None), getattr(block, "adn", None)
        if not isinstance(convolution, torch.nn.Conv2d) or not isinstance(rest, torch.nn.Module):
            continue
        norm = getattr(rest, "N", None)
        if isinstance(norm, torch.nn.BatchNorm2d):
            block.conv = fuse_conv_bn_eval(convolution, norm)
            rest.N = torch.nn.Identity()
    # torch's annotations leave out this documented form.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def inference_autocast(network: torch.nn.Module, device: str) -> AbstractContextManager:
    """A context in which ``network`` on ``device`` computes in bfloat16, where that is faster and does no harm.

    It does no harm to networks with ``float32_heads``: rounded heatmaps would locate a peak badly. The shipped network
    takes 5.2 instead of 9.4 ms per slice on one processor core; the peaks of the sample study move by 0.02 mm
    (median; a low one by 0.7 mm; ``Testing/benchmarks/network_speed.py``).
    """
    import torch

    if device == "cpu" and getattr(network, "float32_heads", False) and processor_has_bfloat16():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


def processor_has_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16; False where this torch does not report it."""
    import torch

    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in BFLOAT16_INSTRUCTIONS)
