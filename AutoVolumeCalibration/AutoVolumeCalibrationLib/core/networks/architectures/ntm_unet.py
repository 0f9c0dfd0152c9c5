"""U-Net with neural Turing machines in it (Baumann 2020), behind a space-to-depth stem.

The landmarks are found in groups; beside the maps in the input the machines' memory goes from one group to the next.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from .landmark_groups import find_in_turn, landmark_groups
from .ntm_cell import NtmCell, NtmState
from .stem import folding

#: Resolutions of the U-Net.
LEVELS = 5
SLOPE = 0.1


def _activated(in_channels: int, out_channels: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Conv2d(in_channels, out_channels, 3, padding=1), torch.nn.LeakyReLU(SLOPE))


def _two_convolutions(in_channels: int, out_channels: int) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            torch.nn.Conv2d(channels, out_channels, 3, padding=1, bias=False),
            torch.nn.BatchNorm2d(out_channels),
            torch.nn.LeakyReLU(SLOPE),
        ]
    return torch.nn.Sequential(*layers)


class NtmBlock(torch.nn.Module):
    """Features shrunk to a vector, one step of the machine, and its answer grown to a map that multiplies them.

    Twice convolution and mean pooling, each taking half of the reduction to ``grid`` x ``grid`` (with 16, features
    of 256 x 256 go by 64 x 64 as published), then one channel; the way back mirrors it. Pooling is adaptive, so that
    the machine's vector has one length whatever the image's size. The map is a sigmoid per channel of the features.

    Args:
        channels: of the features.
        filters: of the convolutions; published: 64.
        grid: side of the vector's map; published: 16, at 1/32 of the image 8.
        controller, memory_rows, memory_width, heads: of ``NtmCell``.

    Shape:
        (B, channels, h, w) and a state -> the same and the next state.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        grid: int,
        controller: int,
        memory_rows: int,
        memory_width: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.shrink = torch.nn.ModuleList([_activated(channels, filters), _activated(filters, filters)])
        self.vector = torch.nn.Conv2d(filters, 1, 3, padding=1)
        self.machine = NtmCell(grid**2, grid**2, controller, memory_rows, memory_width, heads)
        self.grow = torch.nn.ModuleList([_activated(1, filters), _activated(filters, filters)])
        self.map = torch.nn.Conv2d(filters, channels, 3, padding=1)

    def forward(self, features: torch.Tensor, state: NtmState) -> tuple[torch.Tensor, NtmState]:
        size, small = tuple(features.shape[-2:]), (self.grid, self.grid)
        between = tuple(round((side * self.grid) ** 0.5) for side in size)
        result = features
        for convolve, target in zip(self.shrink, (between, small), strict=True):
            result = functional.adaptive_avg_pool2d(convolve(result), target)
        answer, state = self.machine(self.vector(result).flatten(1), state)
        result = answer.unflatten(1, (1, *small)).to(features.dtype)
        for convolve, target in zip(self.grow, (between, size), strict=True):
            result = functional.interpolate(convolve(result), target, mode="bilinear", align_corners=False)
        return features * torch.sigmoid(self.map(result)), state


class NtmUNet(torch.nn.Module):
    """U-Net of five levels, blocks of a machine each at some of them, run once per landmark group.

    Each pass takes the folded image and the maps of the groups before it (in training with ``truth`` the true ones)
    and gives its group; a machine starts from its first state with every image. Beyond the paper: batch norm in the
    U-Net, as in the other U-Nets here.

    Args:
        in_channels: channels of the input image.
        out_channels: one heatmap per landmark, k.
        features: widths of the five levels, from the finest.
        stem: side of the folded blocks; the heatmaps are ``stem`` times coarser than the image.
        where: "level": the map multiplies all that leaves the level; "skip": only what crosses to the other side.
        levels: levels that have a block, 0 the finest; 4, the coarsest, has no skip. Published: one or some of 0, 2, 5.
        group_size: landmarks per group.
        order: landmark indices in the order they are found; None: as they are numbered.
        filters, grid, controller, memory_rows, memory_width, heads: of each ``NtmBlock``; the defaults are published.

    Shape:
        (B, in_channels, H, W), H and W multiples of 16 * ``stem`` -> (B, k, H / stem, W / stem).

    Raises:
        ValueError: a block is placed in the skip of the coarsest level, or ``order`` does not name each landmark once.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: Sequence[int],
        stem: int,
        where: str,
        levels: Sequence[int],
        group_size: int,
        order: Sequence[int] | None = None,
        filters: int = 64,
        grid: int = 16,
        controller: int = 256,
        memory_rows: int = 64,
        memory_width: int = 256,
        heads: int = 3,
    ) -> None:
        super().__init__()
        if where == "skip" and LEVELS - 1 in levels:
            raise ValueError(f"level {LEVELS - 1}, the coarsest, has no skip")
        self.fold, channels = folding(in_channels, stem)
        self.landmarks, self.where = out_channels, where
        self.groups = landmark_groups(out_channels, group_size, order)
        coming = (channels + out_channels, *features[:-1])
        self.contracting = torch.nn.ModuleList(map(_two_convolutions, coming, features))
        self.expanding = torch.nn.ModuleList(
            _two_convolutions(features[level] + features[level + 1], features[level])
            for level in reversed(range(LEVELS - 1))
        )
        self.blocks = torch.nn.ModuleDict(
            {
                str(level): NtmBlock(features[level], filters, grid, controller, memory_rows, memory_width, heads)
                for level in levels
            }
        )
        self.head = torch.nn.Conv2d(features[0], out_channels, 1)

    def forward(
        self,
        image: torch.Tensor,
        known: torch.Tensor | None = None,
        truth: torch.Tensor | None = None,
        taught: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Heatmaps of all landmarks.

        Args:
            known: (B, k, h, w) heatmaps of known landmarks, on the grid of the outputs; zeros: not known.
                Known ones are input from the first pass on and are returned unchanged.
            truth: (B, k, h, w) target heatmaps that later passes take instead of the network's own maps
                (teacher forcing), used in training only.
            taught: (B,) bool, the samples whose passes take ``truth``; None: all.
        """
        folded = self.fold(image)
        states = {
            level: block.machine.first_state(len(image))
            for level, block in self.blocks.items()
            if isinstance(block, NtmBlock)  # all of them; torch types a ModuleDict's values as Module
        }

        def answer(inputs: torch.Tensor) -> torch.Tensor:
            return self._pass(torch.cat([folded, inputs], dim=1), states)

        nothing = folded.new_zeros(len(folded), self.landmarks, *folded.shape[-2:])
        return find_in_turn(answer, self.groups, nothing, known, truth if self.training else None, taught)[-1]

    def _pass(self, inputs: torch.Tensor, states: dict[str, NtmState]) -> torch.Tensor:
        """Maps of all landmarks; ``states`` of the machines are replaced by the next ones."""
        features, skips = inputs, []
        for level, contract in enumerate(self.contracting):
            features = contract(functional.avg_pool2d(features, 2) if level else features)
            skip, key = features, str(level)
            if key in states:
                skip, states[key] = self.blocks[key](features, states[key])
            if self.where == "level":
                features = skip
            skips.append(skip)
        result = features
        for expand, skip in zip(self.expanding, skips[-2::-1], strict=True):
            up = functional.interpolate(result, scale_factor=2, mode="bilinear", align_corners=False)
            result = expand(torch.cat([skip, up], dim=1))
        return self.head(result)
