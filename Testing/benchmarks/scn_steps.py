"""How fast the SpatialConfiguration-Net learns made-up radiographs with its authors' optimiser.

Run: ``python Testing/benchmarks/scn_steps.py [--width 128]``; two to four minutes for each of two ways on one core.

One image a step, as published. The radiographs (``Testing/toy_radiographs.py``) have 64 x 64 pixels where the authors'
have 512 x 512; the loss is a mean over pixels, so that its weight is a 64th for the same step.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining"), str(ROOT / "Testing")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.evaluation.validation import validation_errors  # noqa: E402
from LandmarkTrainingLib.core.slices.targets import target_settings  # noqa: E402
from LandmarkTrainingLib.core.training.learner import Learner, fresh_network  # noqa: E402
from LandmarkTrainingLib.core.xray.xray_published import BENCHMARKS, settings_of  # noqa: E402
from LandmarkTrainingLib.core.xray.xray_source import grid, random_xrays  # noqa: E402
from toy_radiographs import NAMES, toy_radiographs  # noqa: E402

SIDE, LEARNT, MEASURED = 64, 88, 20
STEPS, CHECK = 600, 100

#: Name -> settings that differ from the recipe.
WAYS: dict[str, dict[str, Any]] = {
    "the authors' steps (now)": {},
    "decay, limit of the gradient and warm-up as before": {
        "weight_decay": 5e-4,
        "gradient_clip": 2.0,
        "warmup_steps": 200,
    },
}


class Check(NamedTuple):
    """Of a network on radiographs that it did not learn.

    Attributes:
        step: steps learnt.
        median: error, pixels.
        height: mean peak of the heatmaps; 1 is the target's.
        sigma: mean of the learned widths, pixels.
    """

    step: int
    median: float
    height: float
    sigma: float


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=128, help="filters of every layer")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        [way, check.step, f"{check.median:.2f}", f"{check.height:.2f}", f"{check.sigma:.2f}"]
        for way in WAYS
        for check in learn(arguments.width, way)
    ]
    print(markdown_table(["way", "step", "median error, pixels", "mean peak", "mean width, pixels"], rows))


def learn(width: int, way: str = next(iter(WAYS))) -> Iterator[Check]:
    """Train for STEPS steps; a check after every CHECK of them."""
    published = settings_of("scn", BENCHMARKS["cephalometric"])
    config = published.replaced(
        {
            "options": {**published.options, "width": width},
            "losses": [{**term, "weight": term["weight"] * (SIDE / 512) ** 2} for term in published.losses],
            "sigma_mm": 2.5,  # pixels of radiographs are 1 mm
            "batch_size": 1,
            "device": "cpu",
            **WAYS[way],
        }
    )
    targets, device = target_settings(config, grid(SIDE)), torch.device("cpu")
    learnt, measured = random_xrays(toy_radiographs(LEARNT, SIDE, 1), {}), toy_radiographs(MEASURED, SIDE, 2).slices
    torch.manual_seed(0)
    learner = Learner(fresh_network(config, len(NAMES), targets), config, targets, device)
    for step in range(STEPS):
        learner.learn(learnt.batch(1, (0, step)), step)
        if (step + 1) % CHECK == 0:
            errors = validation_errors(learner.network, measured, targets, device)
            median, height = np.nanmedian(errors.distances_mm), np.nanmean(errors.heights)
            yield Check(step + 1, float(median), float(height), learner.network.sigmas.mean().item())


if __name__ == "__main__":
    main()
