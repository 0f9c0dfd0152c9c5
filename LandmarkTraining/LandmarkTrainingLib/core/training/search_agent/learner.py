"""Search agents in training: Q-learning with replay, batch by batch, in the place of a network that fits heatmaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch.nn import functional

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.networks.architectures.search_agent import (
    REACH,
    SearchAgents,
    is_inside,
    moves,
)

from ...config import TrainingConfig
from ...runs import distributed
from ...simulator.render import SliceBatch
from ...slices.targets import TargetSettings
from ..arithmetic import arithmetic
from ..learner import Example, Learner
from .goals import Goals, goals_of, rewards
from .memory import Memory, Steps, Walks

#: How much a reward counts that comes one step later. Every step has a reward of its own, which shows the way: with the
#: paper's 0.9, which lets the values spread over many steps, agents learnt to find a blob from one of three starts in
#: as many steps as with this from three of three, on the same processor (docs/search_agents.md).
DISCOUNT = 0.5
#: Steps of a walk, and those of all remembered walks from which an agent learns in an update.
WALK, STEPS = 10, 128
#: Share of random moves at the beginning, at the end, and the part of the run in which it falls.
RANDOM_FIRST, RANDOM_LAST, RANDOM_FALLS = 1.0, 0.1, 0.5


@dataclass(frozen=True, eq=False)
class SearchExample(Example):
    """A batch with the goals of the agents on the grid ``level``."""

    goals: Goals
    level: int


class SearchLearner(Learner):
    """Agents in training. Every batch they walk and learn on one grid, on all grids in turn.

    The moving average of the weights, which is exported, also rates the positions that steps lead to (the target
    network). Losses of the settings are not used.

    Raises:
        UsageError: the run has several processes, or blends slices.
    """

    network: SearchAgents

    def __init__(
        self, network: SearchAgents, config: TrainingConfig, targets: TargetSettings, device: torch.device
    ) -> None:
        if distributed.world_size() > 1:
            raise UsageError("search agents learn in one process", remedy="Start the run without torchrun.")
        if config.mixup:
            raise UsageError("search agents cannot learn from blended slices", remedy="Set mixup=0.")
        super().__init__(network, config, targets, device)
        self._memories = [Memory() for _ in network.values]
        self.turns = len(self._memories)
        self._target = cast(SearchAgents, self.average.module)

    def _prepare(self, batch: SliceBatch, number: int) -> Example:
        """The input, with what the agents look for in it; ``number`` says on which grid."""
        plain = super()._prepare(batch, number)
        level = number % len(self._memories)
        goals = goals_of(batch, plain.targets, self.targets).on_grid(level)
        return SearchExample(**vars(plain), goals=goals, level=level)

    def _loss(self, example: Example, share: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
        """Walk on the slices, and the loss of what is remembered; batches of one step count alike."""
        assert isinstance(example, SearchExample)
        seed = np.random.SeedSequence(example.seed).generate_state(1, np.uint64)[0]
        random = torch.Generator().manual_seed(int(seed >> 1))
        memory = self._memories[example.level]
        with arithmetic(self.device, self.config.bf16):
            memory.add(self._walk(example.image, example.goals, example.level, random))
            drawn = memory.draw(STEPS, random)
            found, wanted = self._values(drawn, example.level)
        error = functional.smooth_l1_loss(found, wanted, reduction="none")
        loss = (error * drawn.taught).sum() / drawn.taught.sum().clamp_min(1)
        return loss / self.config.accumulation if share else loss

    def state(self) -> dict[str, Any]:
        """As of any learner, with what the agents remember."""
        return {**super().state(), "memory": [memory.state() for memory in self._memories]}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        for memory, kept in zip(self._memories, state["memory"], strict=True):
            memory.load(kept, self.device)

    @property
    def random_share(self) -> float:
        """How often a move is random at the present step."""
        passed = min(1.0, self.step / (RANDOM_FALLS * self.config.steps))
        return RANDOM_FIRST + passed * (RANDOM_LAST - RANDOM_FIRST)

    @torch.no_grad()
    def _walk(self, image: torch.Tensor, goals: Goals, level: int, random: torch.Generator) -> Walks:
        network, step_of = self.network, moves(self.network.axes, self.device)
        padded, size = network.grid(image, level)
        is_coarsest = level == len(self._memories) - 1
        here = self._starts(goals, size, is_coarsest, random)
        leave = goals.leave | ~is_inside(goals.points.round(), size)
        # A finer search begins where the coarser one ended: at a landmark.
        going = goals.taught if is_coarsest else goals.taught & ~leave
        images = torch.arange(len(image), device=self.device)[:, None]
        steps = []
        for _ in range(WALK):
            best = network.values[level](network.patches(padded, images, here)).argmax(-1)
            chance = torch.rand(best.shape, generator=random).to(self.device) < self.random_share
            drawn = torch.randint(len(step_of), best.shape, generator=random).to(self.device)
            move = torch.where(chance, drawn, best)
            after = here + step_of[move]
            left = ~is_inside(after, size)
            gained = rewards(here, after, goals, size).nan_to_num()
            steps.append((here.short(), move.to(torch.int8), gained, left, going, leave))
            going = going & ~left
            here = torch.where(left[..., None], here, after)
        return Walks(padded.half(), *(torch.stack(tensors, dim=1) for tensors in zip(*steps, strict=True)))

    def _starts(self, goals: Goals, size: tuple[int, ...], is_coarsest: bool, random: torch.Generator) -> torch.Tensor:
        """(b, k, axes) int64 pixels: anywhere in the image on the coarsest grid, near the goal on the others."""
        shape, ends = goals.points.shape, torch.tensor(size, device=self.device)
        if is_coarsest:
            return (torch.rand(shape, generator=random).to(self.device) * ends).long()
        off = torch.randint(-REACH, REACH + 1, shape, generator=random).to(self.device)
        return (goals.points.nan_to_num(0.0).round().long() + off).minimum(ends - 1).clamp_min(0)

    def _values(self, drawn: Steps, level: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, k) values of the moves that were made in n remembered steps of each agent, and what they should be."""
        network, step_of = self.network, moves(self.network.axes, self.device)
        values = network.values[level](network.patches(drawn.padded, drawn.images, drawn.before))
        with torch.no_grad():
            after = network.patches(drawn.padded, drawn.images, drawn.before + step_of[drawn.moves])
            best = self._target.values[level](after).amax(-1)
        return values.gather(-1, drawn.moves[..., None]).squeeze(-1), drawn.rewards + DISCOUNT * best * ~drawn.ended


def new_learner(
    network: torch.nn.Module, config: TrainingConfig, targets: TargetSettings, device: torch.device
) -> Learner:
    """The learner that suits a network: of agents, or of a network that outputs heatmaps or points."""
    if isinstance(network, SearchAgents):
        return SearchLearner(network, config, targets, device)
    return Learner(network, config, targets, device)
