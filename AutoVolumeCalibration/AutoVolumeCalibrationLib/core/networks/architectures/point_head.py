"""From maps to coordinates and presence, shared by the networks that output points.

All of it is computed in float32: at column 40 bfloat16 resolves no more than 0.25 pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional


def pixel_positions(size: Sequence[int], device: torch.device, step: int = 1) -> torch.Tensor:
    """(2, h, w) float32 (row, column) of the centres of blocks of ``step`` x ``step`` pixels, in pixels."""
    axes = [(torch.arange(n, device=device, dtype=torch.float32) + 0.5) * step - 0.5 for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def spatial_softmax(maps: torch.Tensor) -> torch.Tensor:
    """Maps (B, k, h, w) as weights of the same shape, float32, that sum to one over h and w."""
    return maps.float().flatten(2).softmax(dim=2).unflatten(2, maps.shape[2:])


def weighted_mean(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Mean (B, k, c) of ``values`` under ``weights`` (B, k, h, w), float32.

    Args:
        values: (B, k, c, h, w), or (c, h, w) or (B, 1, c, h, w) when the landmarks share them. With
            :func:`pixel_positions` and :func:`spatial_softmax` this is the soft-argmax.
    """
    with torch.autocast(weights.device.type, enabled=False):
        return (weights.float().unsqueeze(2) * values.float()).sum(dim=(3, 4))


class PresenceHead(torch.nn.Module):
    """Presence of each landmark: a weighted mean of the features at its position, then a linear layer of its own.

    The mean is normalised over the channels, else differences between slices are small beside what they share:
    without it 300 steps did not overfit eight slices. The weights get no gradient, so that the position does not move
    to where presence is easier to predict.

    Args:
        channels: of the features.
        landmarks: k.
    """

    def __init__(self, channels: int, landmarks: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(landmarks, channels) / channels**0.5)
        self.bias = torch.nn.Parameter(torch.zeros(landmarks))

    def forward(self, features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """(B, k) float32 in 0..1 from ``features`` (B, channels, h, w) and ``weights`` (B, k, h, w)."""
        with torch.autocast(features.device.type, enabled=False):
            sought = torch.einsum("bkhw,bchw->bkc", weights.detach().float(), features.float())
            sought = functional.layer_norm(sought, sought.shape[2:])
            return torch.sigmoid((sought * self.weight).sum(dim=2) + self.bias)
