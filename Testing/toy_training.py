"""A run's data from toy heads, for tests of what trains."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from LandmarkTrainingLib.core.config import TrainingConfig
from LandmarkTrainingLib.core.evaluation.validation import inplane_errors_mm
from LandmarkTrainingLib.core.simulator.render import SliceBatch, simulate_batch
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings
from LandmarkTrainingLib.core.slices.batches import TrainingData
from LandmarkTrainingLib.core.slices.sources import LabelSource, SliceSource
from LandmarkTrainingLib.core.slices.targets import target_settings
from LandmarkTrainingLib.core.training.learner import landmark_network
from toy_heads import MIRROR, NAMES, RIGID, toy_heads

SLICES = SliceSettings(matrix=64, pixel_mm=4.0, profile_samples=1, limits=RIGID)
TINY = TrainingConfig(
    options={"features": [8] * 6, "stem": 1},
    steps=6,
    checkpoint_steps=3,
    batch_size=4,
    warmup_steps=2,
    bf16=False,
    workers=0,
    device="cpu",
)


@dataclass(frozen=True)
class SameBatch:
    """The same slices whatever is asked for, to be memorised."""

    slices: SliceBatch

    def batch(self, count: int, seed: tuple[int, ...]) -> SliceBatch:
        return self.slices


def toy_data(slices: SliceSettings = SLICES, source: SliceSource | None = None) -> TrainingData:
    """Toy heads to learn from, or another source, and 24 slices to watch."""
    heads = toy_heads(4.0)
    check = simulate_batch(heads, MIRROR, 24, (987654321,), slices)
    return TrainingData(NAMES, MIRROR, source or LabelSource(heads, MIRROR, slices), check, heads)


def one_batch(config: TrainingConfig, slices: SliceSettings = SLICES) -> SliceBatch:
    """The first batch of a run on toy heads."""
    return simulate_batch(toy_heads(4.0), MIRROR, config.batch_size, (config.seed, 0), slices)


def errors_of(
    weights: dict[str, torch.Tensor], config: TrainingConfig, batch: SliceBatch, slices: SliceSettings = SLICES
) -> dict[str, float]:
    """In-plane errors of a run's weights on a batch."""
    targets = target_settings(config, slices)
    network = landmark_network(config, len(NAMES), targets)
    network.load_state_dict(weights)
    return inplane_errors_mm(network, batch, targets, torch.device("cpu"))
