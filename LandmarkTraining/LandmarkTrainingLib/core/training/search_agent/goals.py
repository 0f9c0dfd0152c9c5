"""Where agents should go, and the reward of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from AutoVolumeCalibrationLib.core.networks.architectures.search_agent import is_inside

from ...simulator.render import SliceBatch
from ...slices.targets import Targets, TargetSettings

#: Heights that a target would have for its distance from the slice: from the first on a landmark is on the slice, up
#: to the second it is not. In between an agent learns nothing.
PRESENT, ABSENT = 0.5, 0.1

#: What leaving the image adds to the reward where the landmark is not in it, and takes away where it is. Without it an
#: agent gains little by leaving now instead of a step later; much more than a step's reward hides where to go.
LEAVING = 1.0


@dataclass(frozen=True, eq=False)
class Goals:
    """The goals of k agents on b images.

    Attributes:
        points: (b, k, axes) heatmap pixels, fractions, possibly beyond the image; NaN where the goal is to leave.
        taught: (b, k) bool: the agent learns on this image.
    """

    points: torch.Tensor
    taught: torch.Tensor

    @property
    def leave(self) -> torch.Tensor:
        """(b, k) bool: there is no landmark to go to."""
        return self.points.isnan().any(-1)

    def on_grid(self, level: int) -> Goals:
        """The same in pixels of a grid that is 2^``level`` times coarser than the heatmaps."""
        return Goals((self.points + 0.5) / 2**level - 0.5, self.taught)


def goals_of(batch: SliceBatch, targets: Targets, settings: TargetSettings) -> Goals:
    """The goals on a batch of slices.

    A landmark in view: its position. One beyond the border of the image: its position too, as in the paper, so that
    the agent leaves on that side. One that lies on other slices, or that the head does not have: the nearest border,
    which the paper, on volumes, does not need.
    """
    device = targets.points.device
    height = torch.exp(-(batch.depths_mm.nan_to_num(1e4) ** 2) / (2 * settings.tau_mm**2)).to(device)
    size = torch.tensor(targets.heatmaps.shape[-2:], device=device)
    points, known, visible = targets.points, targets.known, batch.visible.to(device)
    beyond = ((points < -0.5) | (points > size - 0.5)).any(-1)
    go_to = known & (height >= PRESENT) & (visible | beyond)
    leave = known & ~go_to & ((height <= ABSENT) | ~visible)
    return Goals(torch.where(go_to[..., None], points, torch.nan), go_to | leave)


def distances(positions: torch.Tensor, goals: Goals, size: Sequence[int]) -> torch.Tensor:
    """(b, k) pixels of the grid from ``positions`` (b, k, axes) to the goals: to the point, or out of the image."""
    to_point = (positions - goals.points).norm(dim=-1)
    ends = torch.tensor(size, device=positions.device)
    to_border = torch.minimum(positions + 1, ends - positions).amin(-1).clamp_min(0)
    return torch.where(goals.leave, to_border.to(to_point), to_point)


def rewards(before: torch.Tensor, after: torch.Tensor, goals: Goals, size: Sequence[int]) -> torch.Tensor:
    """(b, k) by how many pixels steps came nearer to the goals, from -1 to 1; more where they left the image.

    The paper takes the difference of the squared distances; that of the distances has the same sign and weighs steps
    near and far alike, so that one learning rate suits all grids.
    """
    nearer = distances(before, goals, size) - distances(after, goals, size)
    should_leave = goals.leave | ~is_inside(goals.points.round(), size)
    return nearer + LEAVING * torch.where(is_inside(after, size), 0.0, torch.where(should_leave, 1.0, -1.0))
