"""GU2Net (Zhu et al. 2021, MICCAI, arXiv:2103.04657): one network for several anatomies, behind a space-to-depth stem.

Spatial filters (3x3) and their norms belong to one task, channel mixing (1x1) is shared by all tasks.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch.nn import functional

from .stem import folding

#: A task is a plane of an anatomy; the channels of the input after the image's indicate the plane.
PLANES = 3
#: Dilation rates of the global network, and how much coarser than the heatmaps it is.
RATES, COARSER = (1, 2, 5, 2, 1), 4
SLOPE = 0.01


class PerTask(torch.nn.ModuleList):
    """Modules of which each task has its own."""


class SeparableConvolution(torch.nn.Module):
    """Depthwise 3x3 of the task, pointwise 1x1 of all, batch norm of the task, leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, tasks: int) -> None:
        super().__init__()
        self.depthwise = PerTask(
            torch.nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels) for _ in range(tasks)
        )
        self.pointwise = torch.nn.Conv2d(in_channels, out_channels, 1)
        self.norms = PerTask(torch.nn.BatchNorm2d(out_channels) for _ in range(tasks))

    def forward(self, features: torch.Tensor, task: int) -> torch.Tensor:
        mixed = self.norms[task](self.pointwise(self.depthwise[task](features)))
        return functional.leaky_relu(mixed, SLOPE)


class TwoSeparable(torch.nn.Module):
    """Two separable convolutions in a row."""

    def __init__(self, in_channels: int, between: int, out_channels: int, tasks: int) -> None:
        super().__init__()
        self.first = SeparableConvolution(in_channels, between, tasks)
        self.second = SeparableConvolution(between, out_channels, tasks)

    def forward(self, features: torch.Tensor, task: int) -> torch.Tensor:
        return self.second(self.first(features, task), task)


class LocalNetwork(torch.nn.Module):
    """U-Net of separable convolutions: max pooling, linear upsampling, skips joined; 1x1 heads of each task.

    Args:
        out_channels: the number of landmarks of each task.

    Shape:
        (B, in_channels, h, w), h and w multiples of 16 -> (B, landmarks of the task, h, w) logits.
    """

    def __init__(self, in_channels: int, out_channels: Sequence[int], features: Sequence[int]) -> None:
        super().__init__()
        finest, tasks = features[0], len(out_channels)
        self.enter = PerTask(torch.nn.Conv2d(in_channels, finest, 1) for _ in range(tasks))
        self.contracting = torch.nn.ModuleList(
            TwoSeparable(coming, width, width, tasks)
            for coming, width in zip((finest, *features[:-1]), features, strict=True)
        )
        self.expanding = torch.nn.ModuleList()
        below = features[-1]
        for level in reversed(range(len(features) - 1)):
            joined, above = features[level] + below, features[max(level - 1, 0)]
            self.expanding.append(TwoSeparable(joined, joined // 2, above, tasks))
            below = above
        self.leave = PerTask(torch.nn.Conv2d(finest, count, 1) for count in out_channels)

    def forward(self, image: torch.Tensor, task: int) -> torch.Tensor:
        features, skips = self.enter[task](image), []
        for level, contract in enumerate(self.contracting):
            features = contract(functional.max_pool2d(features, 2) if level else features, task)
            skips.append(features)
        result = skips.pop()
        for expand in self.expanding:
            up = functional.interpolate(result, scale_factor=2, mode="bilinear", align_corners=True)
            result = expand(torch.cat([skips.pop(), up], dim=1), task)
        return self.leave[task](result)


class GlobalNetwork(torch.nn.Module):
    """Dilated 3x3 convolutions on the shrunken image and local heatmaps of one task: where landmarks can be.

    Means shrink and linear interpolation grows, where the published code takes the nearest pixel: that would put
    steps of ``COARSER`` pixels into the heatmaps.

    Shape:
        (B, in_channels, h, w) and (B, out_channels, h, w), h and w multiples of 4 -> (B, out_channels, h, w) logits.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int) -> None:
        super().__init__()
        self.see_image = torch.nn.Conv2d(in_channels, width // 2, 3, padding=1)
        self.see_local = torch.nn.Conv2d(out_channels, width - width // 2, 3, padding=1)
        layers: list[torch.nn.Module] = []
        for rate in RATES:
            dilated = torch.nn.Conv2d(width, width, 3, padding=rate, dilation=rate)
            layers += [dilated, torch.nn.BatchNorm2d(width), torch.nn.ReLU(inplace=True)]
        self.dilated = torch.nn.Sequential(*layers)
        self.leave = torch.nn.Conv2d(width, out_channels, 1)

    def forward(self, image: torch.Tensor, local: torch.Tensor) -> torch.Tensor:
        features = (
            self.see_image(functional.avg_pool2d(image, COARSER)),
            self.see_local(functional.avg_pool2d(local, COARSER)),
        )
        logits = self.leave(self.dilated(torch.cat(features, dim=1)))
        return functional.interpolate(logits, scale_factor=COARSER, mode="bilinear", align_corners=False)


class GU2Net(torch.nn.Module):
    """Heatmaps = sigmoid of the global times sigmoid of the local network, both of the sample's task.

    Task number = 3 * anatomy + plane, planes as in the input's indicator channels. A batch may mix the planes of an
    anatomy: each sample goes through its own task, and batch norm takes its statistics over the samples of a task.

    As published it is trained by binary cross entropy (``losses=[{"name": "bce"}]``) on batches of one anatomy each,
    and every anatomy has its own number of landmarks. There an anatomy is one task, here each of its planes is one. Any
    loss on heatmaps in 0..1 does. In training a sample alone with its task must be larger than the divisor
    (batch norm of a single pixel is undefined).

    Args:
        in_channels: channels of the input image, at least 4: the image, then three plane indicators.
        out_channels: one heatmap per landmark, in 0..1; the landmarks of all anatomies where each has its own.
        features: widths of the local network's five levels; published: 64, 128, 256, 512, 512.
        width: filters of the global network; published: 128.
        stem: side of the folded blocks; the heatmaps are ``stem`` times coarser than the image. Published: 1.
        anatomies: how many anatomies with the same ``out_channels`` landmarks the network knows, or, as published, the
            number of landmarks of each anatomy.

    Shape:
        (B, in_channels, H, W), H and W multiples of 16 * ``stem`` -> (B, landmarks, H / stem, W / stem).

    Raises:
        ValueError: the input has no plane indicators, or the anatomies' landmarks do not add up to ``out_channels``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: Sequence[int],
        width: int,
        stem: int,
        anatomies: int | Sequence[int] = 1,
    ) -> None:
        super().__init__()
        if in_channels < 1 + PLANES:
            raise ValueError(f"in_channels {in_channels} leaves no room for {PLANES} plane indicators")
        landmarks = [out_channels] * anatomies if isinstance(anatomies, int) else list(anatomies)
        if not isinstance(anatomies, int) and sum(landmarks) != out_channels:
            raise ValueError(f"anatomies {landmarks} do not add up to {out_channels} landmarks")
        of_tasks = [count for count in landmarks for _ in range(PLANES)]
        self.fold, channels = folding(in_channels, stem)
        self.local = LocalNetwork(channels, of_tasks, features)
        self.overall = PerTask(GlobalNetwork(channels, count, width) for count in of_tasks)

    def forward(self, image: torch.Tensor, anatomy: int = 0) -> torch.Tensor:
        """Heatmaps of the samples, which are all of one ``anatomy``; the input indicates the plane of each."""
        task = PLANES * anatomy + image[:, 1 : 1 + PLANES].mean(dim=(2, 3)).argmax(dim=1)
        folded, numbers = self.fold(image), sorted(set(task.tolist()))
        indices = [(task == number).nonzero()[:, 0] for number in numbers]
        parts = [self._heatmaps(folded[index], number) for index, number in zip(indices, numbers, strict=True)]
        return torch.cat(parts)[torch.cat(indices).argsort()]

    def of_anatomy(self, anatomy: int) -> GU2Net:
        """A copy that knows this anatomy alone: the shared weights, and those of its own tasks."""
        network = copy.deepcopy(self)
        own = slice(PLANES * anatomy, PLANES * (anatomy + 1))
        for module in list(network.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, PerTask):
                    setattr(module, name, child[own])
        return network

    def _heatmaps(self, folded: torch.Tensor, task: int) -> torch.Tensor:
        # Single precision: half precision rounds a background of 0.001 to zero.
        local = torch.sigmoid(self.local(folded, task).float())
        return local * torch.sigmoid(self.overall[task](folded, local).float())
