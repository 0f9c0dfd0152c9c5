"""Hourglass networks: KNEEL's (Tiulpin et al. 2019, arXiv:1907.12237) and stacked ones (Newell et al. 2016).

Held against the authors' code with numbers computed there (``Testing/core/test_published_values.py``).

Both begin with a strided 7x7 convolution, go down and up again through halved grids, and carry every grid across
by residual blocks of its own. KNEEL's reads coordinates from the maps of one hourglass, the other supervises the
heatmaps of several in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch.nn import functional

from .outputs import PointOutput, heatmaps_of
from .point_head import PresenceHead, pixel_positions, spatial_softmax, weighted_mean

#: A residual block from so many to so many channels.
Block = Callable[[int, int], torch.nn.Module]


def _normalised(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> list[torch.nn.Module]:
    return [
        torch.nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2),
        torch.nn.BatchNorm2d(out_channels),
    ]


def _activated(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> list[torch.nn.Module]:
    return [*_normalised(in_channels, out_channels, kernel, stride), torch.nn.ReLU(inplace=True)]


class MultiScaleResidual(torch.nn.Module):
    """Hierarchical block (Bulat and Tzimiropoulos 2017, arXiv:1703.00862) as KNEEL has it.

    Three 3x3 convolutions in a row, of 1/2, 1/4 and 1/4 of the channels, all three joined: 3x3, 5x5 and 7x7 at once.
    The norms follow the convolutions. The paper's figure has a 1x1 convolution in the skip; the authors' code (module
    ``deeppipeline``, whose 1x1 blocks are 3x3) has 3x3 there, and in the mixer.

    Args:
        in_channels, out_channels: where they differ, the skip is a convolution.
        skip_kernel: side of the skip's kernel: 1, or 3 as in the authors' code.
    """

    def __init__(self, in_channels: int, out_channels: int, skip_kernel: int = 1) -> None:
        super().__init__()
        half, quarter = out_channels // 2, out_channels // 4
        self.scales = torch.nn.ModuleList(
            [
                torch.nn.Sequential(*_activated(in_channels, half, 3)),
                torch.nn.Sequential(*_activated(half, quarter, 3)),
                torch.nn.Sequential(*_normalised(quarter, out_channels - half - quarter, 3)),
            ]
        )
        same = in_channels == out_channels
        self.skip = (
            torch.nn.Identity() if same else torch.nn.Sequential(*_normalised(in_channels, out_channels, skip_kernel))
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        parts, part = [], features
        for scale in self.scales:
            part = scale(part)
            parts.append(part)
        return self.skip(features) + torch.cat(parts, dim=1)


class BottleneckResidual(torch.nn.Module):
    """Newell's block: 1x1 and 3x3 of half the channels, and 1x1, each preceded by its norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        layers: list[torch.nn.Module] = []
        for inputs, outputs, kernel in ((in_channels, half, 1), (half, half, 3), (half, out_channels, 1)):
            layers += [torch.nn.BatchNorm2d(inputs), torch.nn.ReLU()]
            layers += [torch.nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)]
        self.residual = torch.nn.Sequential(*layers)
        same = in_channels == out_channels
        self.skip = torch.nn.Identity() if same else torch.nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.skip(features) + self.residual(features)


class Hourglass(torch.nn.Module):
    """Down by max pooling, through the next smaller hourglass, up again and added to what went across.

    Args:
        depth: how often the grid is halved. Grids that are odd are halved upwards, up to one pixel.
        in_channels, width, out_channels: channels of the input, of the blocks in between, and of the result.
        block: the kind of residual block.
        blocks: how many of them go across, and down, on each grid.
        upsampling: mode of ``interpolate``.
        align_corners: of ``interpolate``; None where the mode has none.

    Shape:
        (B, in_channels, h, w) -> (B, out_channels, h, w).
    """

    def __init__(
        self,
        depth: int,
        in_channels: int,
        width: int,
        out_channels: int,
        block: Block,
        blocks: int,
        upsampling: str,
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        self.upsampling, self.align_corners = upsampling, align_corners
        widths = [in_channels, *[width] * (blocks - 1), out_channels]
        self.across = torch.nn.Sequential(*(block(a, b) for a, b in zip(widths, widths[1:], strict=False)))
        self.down = torch.nn.Sequential(block(in_channels, width), *(block(width, width) for _ in range(blocks - 1)))
        smaller = (width, width, out_channels, block, blocks, upsampling, align_corners)
        self.inner = Hourglass(depth - 1, *smaller) if depth > 1 else block(width, out_channels)
        self.up = block(out_channels, out_channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        smaller = self.down(functional.max_pool2d(features, 2, ceil_mode=True))
        result = self.up(self.inner(smaller))
        size = features.shape[2:]
        up = functional.interpolate(result, size, mode=self.upsampling, align_corners=self.align_corners)
        return self.across(features) + up


def _entry(in_channels: int, widths: tuple[int, int, int], block: Block, blocks: int, stem: int) -> torch.nn.Sequential:
    """7x7 convolution, a block, pooling, and ``blocks`` blocks more: the image on the grid of the heatmaps.

    Published: stride 2 and pooling, the grid is 4 times coarser. At ``stem`` 2 the pooling is left out, at 1 the
    stride too. ``widths``: of the convolution, of the blocks, and of the last block.
    """
    first, middle, last = widths
    more = [middle] * blocks + [last]
    return torch.nn.Sequential(
        *_activated(in_channels, first, 7, min(stem, 2)),
        block(first, middle),
        torch.nn.MaxPool2d(max(stem // 2, 1)),
        *(block(a, b) for a, b in zip(more, more[1:], strict=False)),
    )


class KneelHourglass(torch.nn.Module):
    """One hourglass of multi-scale blocks whose maps become coordinates by soft-argmax.

    Added to the paper: a presence head on the features under the soft-argmax's weights. (On the published radiographs
    every landmark is visible.) The published size has 4.4 million parameters at depth 6, 3.0 at 4; with the 3x3 kernels
    of the authors' code 5.9 and 4.3.

    Args:
        in_channels: channels of the input image.
        out_channels: landmarks.
        width: filters n of the first convolution; the hourglass has 4 n and gives 8 n; published: 24.
        depth: how often the hourglass halves its grid: 6 (the authors' code: 4).
        stem: how much coarser than the image the heatmaps are; published: 4.
        sigma: standard deviation of the heatmaps in evaluation mode, heatmap pixels.
        dropout: probability that a feature map is dropped before each of the two 1x1 convolutions of the head.
        align_corners: of the linear interpolation upwards; published: true. False: as in models of version 0.1.0,
            which do not state it.
        mixing_kernel: side of the kernels of the skips and of the mixer: 1 as in the paper, 3 as in the authors' code.

    Shape:
        (B, in_channels, H, W), H and W multiples of 2^min(depth, 4) * ``stem`` -> in training mode a
        ``PointOutput`` in heatmap pixels; else (B, out_channels, H / stem, W / stem).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        depth: int,
        stem: int,
        sigma: float,
        dropout: float = 0.25,
        align_corners: bool = False,
        mixing_kernel: int = 1,
    ) -> None:
        super().__init__()
        self.sigma = sigma
        block = partial(MultiScaleResidual, skip_kernel=mixing_kernel)
        self.entry = _entry(in_channels, (width, 2 * width, 4 * width), block, 3, stem)
        self.hourglass = Hourglass(depth, 4 * width, 4 * width, 8 * width, block, 3, "bilinear", align_corners)
        self.mixer = torch.nn.Sequential(
            torch.nn.Dropout2d(dropout),
            *_activated(8 * width, 8 * width, mixing_kernel),
            torch.nn.Dropout2d(dropout),
            *_activated(8 * width, 4 * width, mixing_kernel),
        )
        self.maps = torch.nn.Conv2d(4 * width, out_channels, 1)
        self.presence = PresenceHead(4 * width, out_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor | PointOutput:
        features = self.mixer(self.hourglass(self.entry(image)))
        weights = spatial_softmax(self.maps(features))
        size = weights.shape[2:]
        points = weighted_mean(weights, pixel_positions(size, image.device))
        output = PointOutput(points, self.presence(features, weights))
        return output if self.training else heatmaps_of(output, size, self.sigma)


class StackedHourglass(torch.nn.Module):
    """Several hourglasses (arXiv:1603.06937), each given the features and the heatmaps of the one before.

    After each hourglass come a residual block, a 1x1 convolution with norm and ReLU, and the 1x1 head. From 3 channels
    to the 16 landmarks of MPII the published size has 25.43 million parameters with 8 stacks, 6.57 with 2. Models of
    version 0.1.0 lack the residual block: their weights do not fit, and the error says so. They have to be
    trained again.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark.
        width: features n of the hourglasses, the 7x7 convolution has n / 4; published: 256.
        depth: how often each hourglass halves its grid; published: 4.
        stacks: hourglasses in a row; published: 8 (and 2).
        stem: how much coarser than the image the heatmaps are; published: 4.

    Shape:
        (B, in_channels, H, W), H and W multiples of 2^min(depth, 4) * ``stem`` -> (B, out_channels, H / stem,
        W / stem), the last hourglass's; in training mode a list of all, for intermediate supervision.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, depth: int, stacks: int, stem: int) -> None:
        super().__init__()
        self.entry = _entry(in_channels, (width // 4, width // 2, width), BottleneckResidual, 2, stem)
        self.hourglasses = torch.nn.ModuleList(
            torch.nn.Sequential(
                Hourglass(depth, width, width, width, BottleneckResidual, 1, "nearest"),
                BottleneckResidual(width, width),
                *_activated(width, width, 1),
            )
            for _ in range(stacks)
        )
        self.heads = torch.nn.ModuleList(torch.nn.Conv2d(width, out_channels, 1) for _ in range(stacks))
        between = range(stacks - 1)
        self.features_back = torch.nn.ModuleList(torch.nn.Conv2d(width, width, 1) for _ in between)
        self.heatmaps_back = torch.nn.ModuleList(torch.nn.Conv2d(out_channels, width, 1) for _ in between)

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        inputs, heatmaps = self.entry(image), []
        for index, (hourglass, head) in enumerate(zip(self.hourglasses, self.heads, strict=True)):
            features = hourglass(inputs)
            heatmaps.append(head(features))
            if index < len(self.features_back):
                back = self.features_back[index](features) + self.heatmaps_back[index](heatmaps[-1])
                inputs = inputs + back
        return heatmaps if self.training else heatmaps[-1]

    def earlier_form(self, weights: Mapping[str, torch.Tensor]) -> str:
        """Why weights of an earlier version do not fit; "" for all others."""
        first = weights.get("hourglasses.0.1.weight")
        if first is None or first.ndim != 4:
            return ""
        return "they are of version 0.1.0, whose stacked hourglass lacked a residual block: train it again"
