"""SpatialConfiguration-Net (Payer et al. 2019, Medical Image Analysis 54:207-219), behind a space-to-depth stem."""

from __future__ import annotations

import torch
from torch.nn import functional

from .stem import folding

#: Resolutions of the local appearance; the spatial configuration is computed at 1/16 of the heatmap's.
LEVELS, COARSER = 4, 16
SLOPE = 0.1
#: Standard deviation of the weights of both heads: the product starts flat.
HEAD_DEVIATION = 1e-4


def _convolution(in_channels: int, out_channels: int, kernel: int, deviation: float | None = None) -> torch.nn.Conv2d:
    """A padded convolution; weights N(0, ``deviation``), or He's for leaky ReLU when None; biases zero."""
    layer = torch.nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
    if deviation is None:
        torch.nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="leaky_relu")
    else:
        torch.nn.init.normal_(layer.weight, std=deviation)
    if layer.bias is not None:
        torch.nn.init.zeros_(layer.bias)
    return layer


def _activated(in_channels: int, out_channels: int, kernel: int) -> list[torch.nn.Module]:
    return [_convolution(in_channels, out_channels, kernel), torch.nn.LeakyReLU(SLOPE)]


class LocalAppearance(torch.nn.Module):
    """U-Net of one width: down by average pooling, up by linear interpolation, skips convolved once and added.

    Shape:
        (B, width, H, W), H and W multiples of 8 -> the same.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.contracting = torch.nn.ModuleList(
            torch.nn.Sequential(*_activated(width, width, 3), torch.nn.Dropout(dropout), *_activated(width, width, 3))
            for _ in range(LEVELS)
        )
        self.parallel = torch.nn.ModuleList(torch.nn.Sequential(*_activated(width, width, 3)) for _ in range(LEVELS))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        skips = []
        for level, (contract, beside) in enumerate(zip(self.contracting, self.parallel, strict=True)):
            features = contract(functional.avg_pool2d(features, 2) if level else features)
            skips.append(beside(features))
        result = skips.pop()
        while skips:
            up = functional.interpolate(result, scale_factor=2, mode="bilinear", align_corners=False)
            result = skips.pop() + up
        return result


class SpatialConfigurationNet(torch.nn.Module):
    """Heatmaps h = h_LA * h_SC: local appearance times the spatial configuration of the candidates.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark.
        width: filters of every layer; published: 128.
        stem: side of the folded blocks; the heatmaps are ``stem`` times coarser than the image.
        dropout: dropout probability between the two convolutions of each level.

    Shape:
        (B, in_channels, H, W), H and W multiples of 16 * ``stem`` -> (B, out_channels, H / stem, W / stem).
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, stem: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.fold, channels = folding(in_channels, stem)
        self.local = torch.nn.Sequential(
            *_activated(channels, width, 3),
            LocalAppearance(width, dropout),
            _convolution(width, out_channels, 3, HEAD_DEVIATION),
        )
        self.spatial = torch.nn.Sequential(
            torch.nn.AvgPool2d(COARSER),
            *_activated(out_channels, width, 11),
            *_activated(width, width, 11),
            *_activated(width, width, 11),
            _convolution(width, out_channels, 11, HEAD_DEVIATION),
            torch.nn.Tanh(),
            torch.nn.Upsample(scale_factor=COARSER, mode="bicubic", align_corners=False),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        appearance = self.local(self.fold(image))
        return appearance * self.spatial(appearance)
