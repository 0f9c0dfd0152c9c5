"""Iterative landmark groups on toy heads: the error of each landmark after a short training, a landmark a group.

Run: ``python Testing/benchmarks/iterative_groups.py [--steps N]``. A head is three balls in an ellipsoid, found by a
small U-Net one after another; a line for each seed and kind of training: the median error of all, that of each landmark
in the order they are found, and the processor time of a step.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from LandmarkTrainingLib.core.config import TrainingConfig  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.evaluation.validation import NEAR_MM, peaks_of_batch  # noqa: E402
from LandmarkTrainingLib.core.slices.targets import target_settings  # noqa: E402
from LandmarkTrainingLib.core.training.learner import Learner, landmark_network  # noqa: E402
from toy_heads import NAMES  # noqa: E402
from toy_training import SLICES, TINY, toy_data  # noqa: E402

UNET = {"features": [8] * 6}
GROUPS = {
    "architecture": "iterative",
    "options": {"inner": "unet", "inner_options": UNET, "stem": 1, "group_size": 1},
}
#: Kind of training -> settings.
KINDS = {
    "true maps of earlier groups": {**GROUPS, "teacher_forcing": 1.0},
    "own maps": {**GROUPS, "teacher_forcing": 0.0},
    "plain U-Net": {"architecture": "unet", "options": {**UNET, "stem": 1}},
}
SETTINGS = {"learning_rate": 5e-3, "sigma_mm": 10.0, "ema_decay": 0.95, "warmup_steps": 10}
SEEDS = (0, 1)
#: The last landmark of the toy heads is never seen.
SEEN = len(NAMES) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=150)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    rows = [
        [kind, str(seed), *trained(TINY.replaced({**SETTINGS, **settings, "steps": steps, "seed": seed}))]
        for seed in SEEDS
        for kind, settings in KINDS.items()
    ]
    print(markdown_table(["trained with", "seed", "median, mm", *NAMES[:SEEN], "ms of a step"], rows))


def trained(config: TrainingConfig) -> list[str]:
    """Errors of a network after its training, and the processor time of a step, as text."""
    data, targets = toy_data(), target_settings(config, SLICES)
    learner = Learner(landmark_network(config, len(NAMES), targets), config, targets, torch.device("cpu"))
    spent = 0.0
    for step in range(config.steps):
        batch = data.source.batch(config.batch_size, (config.seed, step))
        start = time.process_time()
        learner.learn(batch, step)
        spent += time.process_time() - start
    error, _, _ = peaks_of_batch(learner.average.module, data.check, targets, learner.device)
    distance = np.linalg.norm(error, axis=-1)
    near = (data.check.visible & (data.check.depths_mm.abs() < NEAR_MM)).numpy()
    medians = [float(np.median(distance[near]))]
    medians += [float(np.median(distance[:, index][near[:, index]])) for index in range(SEEN)]
    return [*(f"{median:.1f}" for median in medians), f"{1000 * spent / config.steps:.0f}"]


if __name__ == "__main__":
    main()
