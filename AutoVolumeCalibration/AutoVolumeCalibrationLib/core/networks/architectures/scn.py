"""SpatialConfiguration-Net (Payer et al. 2019, Medical Image Analysis 54:207-219), behind a space-to-depth stem."""

from __future__ import annotations

import torch
from torch.nn import functional

from .outputs import SigmaOutput
from .stem import folding

#: Resolutions of the local appearance.
LEVELS = 4
SLOPE = 0.1
#: Standard deviation of the weights of both heads: the product starts flat.
HEAD_DEVIATION = 1e-4
#: No learned sigma gets below this, heatmap pixels: a Gaussian between two pixels would vanish.
SMALLEST_SIGMA = 0.3


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
        grid: how much coarser than the heatmaps the spatial configuration is; published: 16.
        learned_sigma: the width of each landmark's target is learned, from this one on, heatmap pixels (published: from
            2.5); None: the run's targets are taken. The loss then needs the term ``sigma_penalty``. In evaluation the
            peaks are scaled back to the height of the presence.

    Shape:
        (B, in_channels, H, W), H and W multiples of max(8, ``grid``) * ``stem`` -> (B, out_channels, H / stem,
        W / stem); with learned sigmas in training mode a ``SigmaOutput``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        stem: int,
        dropout: float = 0.5,
        grid: int = 16,
        learned_sigma: float | None = None,
    ) -> None:
        super().__init__()
        self.fold, channels = folding(in_channels, stem)
        self.local = torch.nn.Sequential(
            *_activated(channels, width, 3),
            LocalAppearance(width, dropout),
            _convolution(width, out_channels, 3, HEAD_DEVIATION),
        )
        self.spatial = torch.nn.Sequential(
            torch.nn.AvgPool2d(grid),
            *_activated(out_channels, width, 11),
            *_activated(width, width, 11),
            *_activated(width, width, 11),
            _convolution(width, out_channels, 11, HEAD_DEVIATION),
            torch.nn.Tanh(),
            torch.nn.Upsample(scale_factor=grid, mode="bicubic", align_corners=False),
        )

        self.start = learned_sigma
        if learned_sigma is not None:
            self.sigmas = torch.nn.Parameter(torch.full((out_channels,), float(learned_sigma)))

    def forward(self, image: torch.Tensor) -> torch.Tensor | SigmaOutput:
        appearance = self.local(self.fold(image))
        heatmaps = appearance * self.spatial(appearance)
        if self.start is None:
            return heatmaps
        sigmas = self.sigmas.clamp_min(SMALLEST_SIGMA)
        if self.training:
            return SigmaOutput(heatmaps, sigmas, sigmas.new_tensor(self.start))
        return heatmaps * (sigmas / self.start)[:, None, None] ** 2
