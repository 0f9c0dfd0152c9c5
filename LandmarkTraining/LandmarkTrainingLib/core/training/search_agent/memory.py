"""What agents remember: the steps of their last walks, from which they learn again and again (experience replay)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

#: Batches of walks that are kept of each grid; the oldest is forgotten first.
CAPACITY = 48


@dataclass(frozen=True, eq=False)
class Walks:
    """The walks of k agents on b images of one grid, t steps each.

    Attributes:
        padded: (b, channels, ...) float16, the images (``SearchAgents.grid``).
        before: (t, b, k, axes) int16 positions before each step.
        moves: (t, b, k) int8 numbers of the moves.
        rewards: (t, b, k) float32.
        ended: (t, b, k) bool: the step led out of the image.
        taught: (t, b, k) bool: the step counts: its goal is known, and the agent had not left before.
    """

    padded: torch.Tensor
    before: torch.Tensor
    moves: torch.Tensor
    rewards: torch.Tensor
    ended: torch.Tensor
    taught: torch.Tensor


@dataclass(frozen=True, eq=False)
class Steps:
    """n steps of each of k agents out of one ``Walks``; attributes as there, but (n, k), and ``images`` (n, k)."""

    walks: Walks
    images: torch.Tensor
    before: torch.Tensor
    moves: torch.Tensor
    rewards: torch.Tensor
    ended: torch.Tensor
    taught: torch.Tensor


class Memory:
    """The last walks on one grid."""

    def __init__(self) -> None:
        self._walks: deque[Walks] = deque(maxlen=CAPACITY)

    def __len__(self) -> int:
        return len(self._walks)

    def add(self, walks: Walks) -> None:
        self._walks.append(walks)

    def draw(self, batches: int, steps: int, random: torch.Generator) -> list[Steps]:
        """``steps`` random steps of each agent out of each of ``batches`` random batches of walks.

        Steps that count are drawn where an agent has any.
        """
        chosen = torch.randint(len(self._walks), (batches,), generator=random)
        return [_drawn(self._walks[int(number)], steps, random) for number in chosen]

    def state(self) -> list[dict[str, torch.Tensor]]:
        """Tensors from which :meth:`load` goes on."""
        return [dict(vars(walks)) for walks in self._walks]

    def load(self, state: list[Mapping[str, Any]], device: torch.device) -> None:
        self._walks.clear()
        self._walks.extend(Walks(**{name: tensor.to(device) for name, tensor in one.items()}) for one in state)


def _drawn(walks: Walks, count: int, random: torch.Generator) -> Steps:
    of_agent = walks.taught.flatten(0, 1).T.float().cpu() + 1e-6
    numbers = torch.multinomial(of_agent, count, replacement=True, generator=random).T.to(walks.taught.device)
    images, agents = numbers % walks.taught.shape[1], torch.arange(len(of_agent), device=numbers.device)
    before, moves, rewards, ended, taught = (
        tensor.flatten(0, 1)[numbers, agents]
        for tensor in (walks.before, walks.moves, walks.rewards, walks.ended, walks.taught)
    )
    return Steps(walks, images, before.long(), moves.long(), rewards, ended, taught)
