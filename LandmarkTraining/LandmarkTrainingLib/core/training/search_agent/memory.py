"""What agents remember: the steps of their last walks, from which they learn again and again (experience replay)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch

#: Slices that are kept of each grid, with the walks over them; the oldest are forgotten first.
CAPACITY = 384


@dataclass(frozen=True, eq=False)
class Walks:
    """The walks of k agents on b images of one grid, t steps each.

    Attributes:
        padded: (b, channels, ...) float16, the images (``SearchAgents.grid``).
        before: (b, t, k, axes) int16 positions before each step.
        moves: (b, t, k) int8 numbers of the moves.
        rewards: (b, t, k) float32.
        ended: (b, t, k) bool: the step led out of the image.
        taught: (b, t, k) bool: the step counts: its goal is known, and the agent had not left before.
        leave: (b, t, k) bool: the landmark is not in the image.
    """

    padded: torch.Tensor
    before: torch.Tensor
    moves: torch.Tensor
    rewards: torch.Tensor
    ended: torch.Tensor
    taught: torch.Tensor
    leave: torch.Tensor


@dataclass(frozen=True, eq=False)
class Steps:
    """n remembered steps of each of k agents; attributes as of ``Walks``, but (n, k) and (n, k, axes).

    ``padded`` holds all remembered images, ``images`` (n, k) the number of each step's.
    """

    padded: torch.Tensor
    images: torch.Tensor
    before: torch.Tensor
    moves: torch.Tensor
    rewards: torch.Tensor
    ended: torch.Tensor
    taught: torch.Tensor


class Memory:
    """The last walks on one grid."""

    def __init__(self) -> None:
        self._walks: Walks | None = None
        self._next = 0

    def __len__(self) -> int:
        return 0 if self._walks is None else len(self._walks.padded)

    def add(self, walks: Walks) -> None:
        """Remember walks, in the place of the oldest ones once the memory is full."""
        count = len(walks.padded)
        if self._walks is None or len(self) + count <= CAPACITY:
            self._walks = walks if self._walks is None else _joined(self._walks, walks)
            return
        places = (self._next + torch.arange(count)) % len(self)
        self._next = (self._next + count) % len(self)
        for name, kept in vars(self._walks).items():
            kept[places] = getattr(walks, name)

    def draw(self, count: int, random: torch.Generator) -> Steps:
        """``count`` steps of each agent: of those that count, half where it should leave, half where not.

        Most landmarks are on few slices: an agent that learnt from all steps alike would leave every image, and be
        right most of the time.
        """
        assert self._walks is not None, "nothing is remembered yet"
        walks, length = self._walks, self._walks.moves.shape[1]
        numbers = torch.multinomial(_chances(walks).cpu(), count, replacement=True, generator=random).T
        numbers = numbers.to(walks.moves.device)
        images, steps = numbers // length, numbers % length
        agents = torch.arange(numbers.shape[1], device=numbers.device)
        before, moves, rewards, ended, taught = (
            tensor[images, steps, agents]
            for tensor in (walks.before, walks.moves, walks.rewards, walks.ended, walks.taught)
        )
        return Steps(walks.padded, images, before.long(), moves.long(), rewards, ended, taught)

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors from which :meth:`load` goes on."""
        walks = {} if self._walks is None else dict(vars(self._walks))
        return {"next": torch.tensor(self._next), **walks}

    def load(self, state: Mapping[str, torch.Tensor], device: torch.device) -> None:
        self._next = int(state["next"])
        kept = {field.name: state[field.name].to(device) for field in fields(Walks) if field.name in state}
        self._walks = Walks(**kept) if kept else None


def _joined(first: Walks, second: Walks) -> Walks:
    return Walks(*(torch.cat([a, getattr(second, name)]) for name, a in vars(first).items()))


def _chances(walks: Walks) -> torch.Tensor:
    """(k, b t) chances of the steps of each agent; all alike where none of its steps counts."""
    taught, leave = (tensor.flatten(0, 1).T for tensor in (walks.taught, walks.leave))
    kinds = [taught & leave, taught & ~leave]
    shares = [kind / kind.sum(1, keepdim=True).clamp_min(1) for kind in kinds]
    return shares[0] + shares[1] + 1e-9
