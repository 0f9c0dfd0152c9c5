"""Flat-net (Eslami et al. 2020, Scientific Reports 10:1468, arXiv:1907.07951), behind a space-to-depth stem."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .stem import folding


def _convolution(in_channels: int, out_channels: int, kernel: int, rate: int = 1) -> torch.nn.Conv2d:
    """A convolution that keeps the size, with Glorot's uniform weights and biases of zero, as published."""
    padding = rate * (kernel // 2)
    layer = torch.nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=rate)
    torch.nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        torch.nn.init.zeros_(layer.bias)
    return layer


def _activated(in_channels: int, out_channels: int, kernel: int, rate: int = 1) -> list[torch.nn.Module]:
    return [_convolution(in_channels, out_channels, kernel, rate), torch.nn.ReLU(inplace=True)]


class FlatNet(torch.nn.Module):
    """No pooling: five branches of two 9x9 convolutions, each at its dilation rate, then 5x5 and three 1x1.

    Shape:
        (B, channels, h, w) -> (B, landmarks, h, w) in -1..1.
    """

    def __init__(self, channels: int, landmarks: int, width: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = torch.nn.ModuleList(
            torch.nn.Sequential(*_activated(channels, width, 9, rate), *_activated(width, 2 * width, 9, rate))
            for rate in rates
        )
        self.joined = torch.nn.Sequential(
            *_activated(2 * width * len(rates), 8 * width, 5),
            *_activated(8 * width, 4 * width, 1),
            *_activated(4 * width, 2 * width, 1),
            _convolution(2 * width, landmarks, 1),
            torch.nn.Tanh(),
        )

    def forward(self, folded: torch.Tensor) -> torch.Tensor:
        return self.joined(torch.cat([branch(folded) for branch in self.branches], dim=1))


class FlatNets(torch.nn.Module):
    """The landmarks, in their order, dealt over several Flat-nets that share nothing but the image.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark, in -1..1.
        width: filters n of the first convolutions, the others have 2 n, 8 n, 4 n, 2 n; published: 32.
        stem: side of the folded blocks; the heatmaps are ``stem`` times coarser than the image. Published: 1.
        rates: dilation rates of the five branches, published: 1 to 5; the receptive field is 16 max(rates) + 5 folded
            pixels.
        networks: how many Flat-nets; published: 5 for 21 landmarks.

    Shape:
        (B, in_channels, H, W), H and W multiples of ``stem`` -> (B, out_channels, H / stem, W / stem).

    Raises:
        ValueError: more networks than landmarks.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        stem: int,
        rates: Sequence[int] = (1, 2, 3, 4, 5),
        networks: int = 1,
    ) -> None:
        super().__init__()
        if networks > out_channels:
            raise ValueError(f"{networks} networks for {out_channels} landmarks")
        self.fold, channels = folding(in_channels, stem)
        shares = [out_channels // networks + (number < out_channels % networks) for number in range(networks)]
        self.networks = torch.nn.ModuleList(FlatNet(channels, share, width, rates) for share in shares)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        folded = self.fold(image)
        return torch.cat([network(folded) for network in self.networks], dim=1)
