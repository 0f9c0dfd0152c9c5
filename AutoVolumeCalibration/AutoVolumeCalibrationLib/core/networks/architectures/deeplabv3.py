"""DeepLabV3 (Chen et al. 2017, arXiv:1706.05587): a dilated residual encoder and atrous spatial pyramid pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

#: Filters of a residual block's output, and of the pyramid, per filter of its 3x3 convolution.
EXPANSION = 4
#: Relative dilation rates of the three blocks of the last stage.
MULTI_GRID = (1, 2, 4)
#: Dilation rates of the pyramid at output stride 16; they double at 8.
PYRAMID_RATES = (6, 12, 18)


def _normalised(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, rate: int = 1
) -> torch.nn.Sequential:
    padding = rate * (kernel // 2)
    return torch.nn.Sequential(
        torch.nn.Conv2d(in_channels, out_channels, kernel, stride, padding, rate, bias=False),
        torch.nn.BatchNorm2d(out_channels),
    )


class Bottleneck(torch.nn.Module):
    """Residual block of He et al. 2016 (1x1, 3x3, 1x1), its 3x3 convolution strided and dilated."""

    def __init__(self, in_channels: int, width: int, stride: int, rate: int) -> None:
        super().__init__()
        out_channels = EXPANSION * width
        self.residual = torch.nn.Sequential(
            _normalised(in_channels, width, 1),
            torch.nn.ReLU(inplace=True),
            _normalised(width, width, 3, stride, rate),
            torch.nn.ReLU(inplace=True),
            _normalised(width, out_channels, 1),
        )
        same = stride == 1 and in_channels == out_channels
        self.shortcut = torch.nn.Identity() if same else _normalised(in_channels, out_channels, 1, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.shortcut(features) + self.residual(features))


def _stage(in_channels: int, width: int, stride: int, rates: Sequence[int]) -> torch.nn.Sequential:
    """One block per dilation rate, the first one strided."""
    first = Bottleneck(in_channels, width, stride, rates[0])
    return torch.nn.Sequential(first, *(Bottleneck(EXPANSION * width, width, 1, rate) for rate in rates[1:]))


def _encoder(in_channels: int, width: int, blocks: Sequence[int], output_stride: int) -> torch.nn.Sequential:
    """ResNet whose last stages are dilated where they would make the grid coarser than ``output_stride``."""
    stride, rate = (2, 1) if output_stride == 16 else (1, 2)
    last_rates = [2 * rate * factor for factor in MULTI_GRID]
    return torch.nn.Sequential(
        _normalised(in_channels, width, 7, 2),
        torch.nn.ReLU(inplace=True),
        torch.nn.MaxPool2d(3, 2, 1),
        _stage(width, width, 1, [1] * blocks[0]),
        _stage(4 * width, 2 * width, 2, [1] * blocks[1]),
        _stage(8 * width, 4 * width, stride, [rate] * blocks[2]),
        _stage(16 * width, 8 * width, 1, last_rates),
    )


class AtrousPyramid(torch.nn.Module):
    """Atrous spatial pyramid pooling: 1x1, three dilated 3x3 and the image's mean side by side, joined by 1x1.

    In training mode batch norm of the image's mean needs at least two images.

    Shape:
        (B, in_channels, h, w) -> (B, width, h, w).
    """

    def __init__(self, in_channels: int, width: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = torch.nn.ModuleList(
            [_normalised(in_channels, width, 1), *(_normalised(in_channels, width, 3, rate=rate) for rate in rates)]
        )
        self.image = _normalised(in_channels, width, 1)
        self.join = _normalised((len(rates) + 2) * width, width, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        parts = [branch(features) for branch in self.branches]
        mean = self.image(features.mean(dim=(2, 3), keepdim=True))
        return torch.relu(self.join(torch.relu(torch.cat([*parts, mean.expand_as(parts[0])], dim=1))))


class DeepLabV3(torch.nn.Module):
    """DeepLabV3 with a 1x1 head, upsampled bilinearly.

    Interpolated linearly, a maximum lies on a node of the encoder's grid. Positions in between need
    peaks about as broad as the grid, decoded from coarse heatmaps: prefer ``output_stride`` 8 and ``stem`` 4.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark.
        width: filters of the first convolution, the pyramid has four times as many; published: 64 (and 256).
        blocks: residual blocks of the first three stages, ResNet-50: 3, 4, 6; the fourth has three.
        output_stride: how much coarser than the image the encoder's grid is, 16 or 8.
        stem: how much coarser than the image the heatmaps are.

    Shape:
        (B, in_channels, H, W), H and W multiples of ``output_stride`` -> (B, out_channels, H / stem, W / stem).
    """

    def __init__(
        self, in_channels: int, out_channels: int, width: int, blocks: Sequence[int], output_stride: int, stem: int
    ) -> None:
        super().__init__()
        rates = [rate * 16 // output_stride for rate in PYRAMID_RATES]
        self.scale = output_stride // stem
        self.encoder = _encoder(in_channels, width, blocks, output_stride)
        self.pyramid = AtrousPyramid(8 * EXPANSION * width, EXPANSION * width, rates)
        self.head = torch.nn.Conv2d(EXPANSION * width, out_channels, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        coarse = self.head(self.pyramid(self.encoder(image)))
        return functional.interpolate(coarse, scale_factor=self.scale, mode="bilinear", align_corners=False)
