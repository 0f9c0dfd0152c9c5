"""ResNet (He et al. 2016, arXiv:1512.03385) and ResNeXt (Xie et al. 2017, arXiv:1611.05431) as encoders."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .encoders import Encoder

#: Filters of the stem, and of the 3x3 convolutions of the four stages at 64 filters per group.
STEM_WIDTH, STAGE_WIDTHS = 64, (64, 128, 256, 512)


class BasicBlock(torch.nn.Module):
    """Two 3x3 convolutions beside a shortcut (ResNet-18 and -34)."""

    expansion = 1

    def __init__(self, in_width: int, width: int, stride: int, groups: int, group_width: int) -> None:
        super().__init__()
        self.conv1 = _convolution(in_width, width, 3, stride)
        self.bn1 = torch.nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3)
        self.bn2 = torch.nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_width, width, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        residual = torch.relu(self.bn1(self.conv1(features)))
        return torch.relu(self.bn2(self.conv2(residual)) + self.downsample(features))


class Bottleneck(torch.nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; the 3x3 one is strided, and in groups for ResNeXt."""

    expansion = 4

    def __init__(self, in_width: int, width: int, stride: int, groups: int, group_width: int) -> None:
        super().__init__()
        inner, out_width = width * group_width // 64 * groups, width * self.expansion
        self.conv1 = _convolution(in_width, inner, 1)
        self.bn1 = torch.nn.BatchNorm2d(inner)
        self.conv2 = _convolution(inner, inner, 3, stride, groups)
        self.bn2 = torch.nn.BatchNorm2d(inner)
        self.conv3 = _convolution(inner, out_width, 1)
        self.bn3 = torch.nn.BatchNorm2d(out_width)
        self.downsample = _shortcut(in_width, out_width, stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        residual = torch.relu(self.bn1(self.conv1(features)))
        residual = torch.relu(self.bn2(self.conv2(residual)))
        return torch.relu(self.bn3(self.conv3(residual)) + self.downsample(features))


@dataclass(frozen=True)
class ResNetSize:
    """Kind of block, blocks of the four stages, groups of the 3x3 convolutions and filters per group of the first."""

    block: type[BasicBlock] | type[Bottleneck]
    blocks: tuple[int, int, int, int]
    groups: int = 1
    group_width: int = 64


SIZES = {
    "resnet18": ResNetSize(BasicBlock, (2, 2, 2, 2)),
    "resnet34": ResNetSize(BasicBlock, (3, 4, 6, 3)),
    "resnet50": ResNetSize(Bottleneck, (3, 4, 6, 3)),
    "resnet101": ResNetSize(Bottleneck, (3, 4, 23, 3)),
    "resnext50_32x4d": ResNetSize(Bottleneck, (3, 4, 6, 3), 32, 4),
    "resnext101_32x8d": ResNetSize(Bottleneck, (3, 4, 23, 3), 32, 8),
}


class ResNetEncoder(Encoder):
    """A residual network without its classifier, its parameters named as in torchvision's checkpoints.

    Args:
        name: one of ``SIZES``.
        in_channels: channels of the input image; published: 3.

    Attributes:
        widths, strides: channels of the five feature maps, and how much coarser than the image each is.

    Shape:
        (B, in_channels, H, W), H and W multiples of 32 -> five maps (B, widths[i], H / strides[i], W / strides[i]).
    """

    strides = (2, 4, 8, 16, 32)

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__()
        size = SIZES[name]
        self.widths = (STEM_WIDTH, *(size.block.expansion * width for width in STAGE_WIDTHS))
        self.conv1 = _convolution(in_channels, STEM_WIDTH, 7, 2)
        self.bn1 = torch.nn.BatchNorm2d(STEM_WIDTH)
        self.maxpool = torch.nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(size, 0, self.widths[0])
        self.layer2 = _stage(size, 1, self.widths[1])
        self.layer3 = _stage(size, 2, self.widths[2])
        self.layer4 = _stage(size, 3, self.widths[3])
        for layer in self.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        levels = [torch.relu(self.bn1(self.conv1(image)))]
        features = self.maxpool(levels[0])
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = stage(features)
            levels.append(features)
        return levels


def _convolution(in_width: int, out_width: int, kernel: int, stride: int = 1, groups: int = 1) -> torch.nn.Conv2d:
    return torch.nn.Conv2d(in_width, out_width, kernel, stride, kernel // 2, groups=groups, bias=False)


def _shortcut(in_width: int, out_width: int, stride: int) -> torch.nn.Module:
    if stride == 1 and in_width == out_width:
        return torch.nn.Identity()
    return torch.nn.Sequential(_convolution(in_width, out_width, 1, stride), torch.nn.BatchNorm2d(out_width))


def _stage(size: ResNetSize, number: int, in_width: int) -> torch.nn.Sequential:
    """The blocks of stage ``number``; all but the first stage halve the grid in their first block."""
    width, kind = STAGE_WIDTHS[number], size.block
    first = kind(in_width, width, 2 if number else 1, size.groups, size.group_width)
    others = (
        kind(kind.expansion * width, width, 1, size.groups, size.group_width) for _ in range(1, size.blocks[number])
    )
    return torch.nn.Sequential(first, *others)
