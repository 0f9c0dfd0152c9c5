"""Search by agents, one for each landmark (Ghesu et al. 2019, IEEE TPAMI 41:176-189, doi 10.1109/TPAMI.2017.2782687).

An agent stands at a pixel, sees the patch around it, and moves to the neighbour of highest value, first on a coarse
grid, then on finer ones, until it walks in a circle. Where its landmark is absent it walks out of the image.
As in the paper each grid has a network of its own, a search starts in the middle of the image, and the middle of the
circle is the position. Differences: slices instead of volumes (the class takes both), the plane as further channels
of a patch, a smaller network, and leaky ReLU. How the values are learnt:
``LandmarkTrainingLib.core.training.search_agent``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn import functional

from .outputs import PointOutput, heatmaps_of

#: A finer search starts at most so many of its pixels from the landmark along each axis, unless the coarser one failed.
REACH = 5
#: Steps beyond the longest way, in which an agent closes its circle.
CIRCLE = 6
#: What a filter passes on below zero. With none the few filters of an agent could all die in the first steps, so that
#: it valued a move alike everywhere and left every image (docs/search_agents.md).
LEAK = 0.1


class Searched(NamedTuple):
    """Where the agents came to.

    Attributes:
        points: (B, k, axes) pixels of the finest grid, fractions.
        left: (B, k) bool: the agent left the image, there is no landmark.
    """

    points: torch.Tensor
    left: torch.Tensor


class ActionValues(torch.nn.Module):
    """The values of the moves of k agents on one grid; no agent shares a weight with another.

    Shape:
        patches (n, k, channels, patch, ...) -> (n, k, 2 axes) float32, moves as in :func:`moves`.
    """

    def __init__(self, channels: int, landmarks: int, width: int, patch: int, axes: int) -> None:
        super().__init__()
        convolution, pool = ((torch.nn.Conv2d, torch.nn.MaxPool2d), (torch.nn.Conv3d, torch.nn.MaxPool3d))[axes - 2]
        self.landmarks = landmarks

        def layer(inputs: int, outputs: int, kernel: int, padding: int) -> torch.nn.Module:
            # In groups, so that the agents' separate networks are computed at once.
            k = landmarks
            return convolution(k * inputs, k * outputs, kernel, padding=padding, groups=k)

        def activation() -> torch.nn.Module:
            return torch.nn.LeakyReLU(LEAK, inplace=True)

        self.layers = torch.nn.Sequential(
            *(layer(channels, width, 5, 2), activation(), pool(2)),
            *(layer(width, 2 * width, 3, 1), activation(), pool(2)),
            *(layer(2 * width, 2 * width, 3, 1), activation()),
            *(layer(2 * width, 4 * width, patch // 4, 0), activation()),
            layer(4 * width, 2 * axes, 1, 0),
        )

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        return self.layers(patches.flatten(1, 2)).flatten(1).unflatten(1, (self.landmarks, -1)).float()


class SearchAgents(torch.nn.Module):
    """Agents that search ``levels`` grids, from the coarsest to the finest.

    Args:
        in_channels: channels of the input image.
        out_channels: landmarks.
        width: filters n of an agent's first layer; the others have 2 n, 2 n, 4 n.
        patch: pixels across what an agent sees, odd.
        levels: grids; each is twice as coarse as the next.
        stem: pixels of the image across a pixel of the finest grid, which is that of the heatmaps.
        sigma: standard deviation of the heatmaps, heatmap pixels.
        axes: 2 for slices, 3 for volumes.

    Shape:
        (B, in_channels, H, W), H and W multiples of ``stem`` * 2^(``levels`` - 1) -> (B, out_channels, H / stem,
        W / stem): a Gaussian where an agent ended, zero where it left. There is no gradient.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        patch: int,
        levels: int,
        stem: int,
        sigma: float,
        axes: int = 2,
    ) -> None:
        super().__init__()
        self.patch, self.stem, self.sigma, self.axes, self.landmarks = patch, stem, sigma, axes, out_channels
        self.values = torch.nn.ModuleList(
            ActionValues(in_channels, out_channels, width, patch, axes) for _ in range(levels)
        )

    @torch.no_grad()
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_tracing():
            raise RuntimeError("how many steps a walk has depends on the image: it cannot be traced")
        points, left = self.search(image)
        size = [length // self.stem for length in image.shape[2:]]
        return heatmaps_of(PointOutput(points, (~left).float()), size, self.sigma)

    @torch.no_grad()
    def search(self, image: torch.Tensor) -> Searched:
        """Search an ``image`` (B, in_channels, H, W) or, with three axes, (B, in_channels, D, H, W)."""
        coarsest = len(self.values) - 1
        points, left = image.new_zeros(0), torch.zeros((), dtype=torch.bool, device=image.device)
        for level in range(coarsest, -1, -1):
            padded, size = self.grid(image, level)
            if level == coarsest:
                middle = torch.tensor([(length - 1) // 2 for length in size], device=image.device)
                start = middle.expand(len(image), self.landmarks, self.axes)
                steps = sum(size) // 2 + CIRCLE
            else:
                start, steps = (2 * points + 0.5).round().long(), self.axes * REACH + CIRCLE
            points, away = self._walk(level, padded, size, start, steps)
            left = left | away
        return Searched(points, left)

    def grid(self, image: torch.Tensor, level: int) -> tuple[torch.Tensor, tuple[int, ...]]:
        """The image on the grid of a level with zeros half a patch wide around it, and the grid's size without them."""
        side = self.stem * 2**level
        mean = functional.avg_pool2d if self.axes == 2 else functional.avg_pool3d
        grid = mean(image.float(), side) if side > 1 else image.float()
        return functional.pad(grid, [self.patch // 2] * 2 * self.axes), tuple(grid.shape[2:])

    def patches(self, padded: torch.Tensor, images: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """What agents see: (n, k, channels, patch, ...) float32.

        Args:
            padded: (B, channels, ...) of :meth:`grid`.
            images: (n, k) or (n, 1) int64, numbers of the images.
            positions: (n, k, axes) int64 pixels of the grid; those outside are moved to its border.
        """
        windows = padded
        for axis in range(self.axes):
            windows = windows.unfold(2 + axis, self.patch, 1)
        ends = torch.tensor(windows.shape[2 : 2 + self.axes], device=positions.device) - 1
        within = positions.minimum(ends).clamp_min(0)
        index: tuple[torch.Tensor | slice, ...] = (images, slice(None), *within.unbind(-1))
        return windows[index].float()

    def _walk(
        self, level: int, padded: torch.Tensor, size: Sequence[int], start: torch.Tensor, steps: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean positions (B, k, axes) of the circles that the walks end in, and (B, k) which left the grid."""
        images = torch.arange(len(padded), device=padded.device)[:, None]
        step_of = moves(self.axes, padded.device)
        inside, here = is_inside(start, size), start
        path = [here]
        for _ in range(steps):
            values = self.values[level](self.patches(padded, images, here))
            here = torch.where(inside[..., None], here + step_of[values.argmax(-1)], here)
            inside = inside & is_inside(here, size)
            been_there = (torch.stack(path) == here).all(-1).any(0)
            path.append(here)
            if bool((been_there | ~inside).all()):
                break
        return mean_of_circle(torch.stack(path)), ~inside


def moves(axes: int, device: torch.device) -> torch.Tensor:
    """(2 axes, axes) int64: a pixel backwards and forwards along each axis."""
    one = torch.eye(axes, dtype=torch.int64, device=device)
    return torch.stack([-one, one], dim=1).flatten(0, 1)


def is_inside(positions: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """(...) bool: whether positions (..., axes) are pixels of a grid of this size."""
    return ((positions >= 0) & (positions < torch.tensor(size, device=positions.device))).all(-1)


def mean_of_circle(path: torch.Tensor) -> torch.Tensor:
    """(B, k, axes) mean of the positions since the last one was visited before; the last one if it never was.

    A move depends on the position alone, so that a walk that comes back repeats itself.

    Args:
        path: (steps, B, k, axes) int64.
    """
    count = len(path)
    numbers = torch.arange(1, count, device=path.device)[:, None, None]
    visited = (path[:-1] == path[-1]).all(-1) * numbers
    first = torch.where(visited.any(0), visited.amax(0), count - 1)
    in_circle = torch.arange(count, device=path.device)[:, None, None] >= first
    return (path * in_circle[..., None]).sum(0) / in_circle.sum(0)[..., None]
