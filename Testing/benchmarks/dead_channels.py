"""How often a short training of a plain U-Net leaves a landmark unlearnt: before the mend, and after.

Run: ``python Testing/benchmarks/dead_channels.py OUTPUT.jsonl [--seeds 20] [--first 0] [--only NAME ...]``; about a
minute of one idle core per way to train. Every run is appended to OUTPUT.jsonl; what is there is not trained again.

Made-up lateral radiographs (``Testing/toy_radiographs.py``): 88 to learn from, varied, 20 to measure, 64 pixels
across, 19 points, of which the angle of the jaw is the faintest. The seed decides weights and batches. A landmark is
dead at a step whose channel is flat (the mean of its peaks below FLAT_BELOW), or whose median error exceeds a tenth of
the image.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining"), str(ROOT / "Testing")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from AutoVolumeCalibrationLib.core.detection.network_input import IN_CHANNELS  # noqa: E402
from LandmarkTrainingLib.core.config import TrainingConfig  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.evaluation.validation import FLAT_BELOW, validation_errors  # noqa: E402
from LandmarkTrainingLib.core.slices.targets import TargetSettings, target_settings  # noqa: E402
from LandmarkTrainingLib.core.training.initial_weights.quiet_start import start_quietly  # noqa: E402
from LandmarkTrainingLib.core.training.learner import Learner, fresh_network, landmark_network  # noqa: E402
from LandmarkTrainingLib.core.xray.xray_source import XrayImages, grid, random_xrays  # noqa: E402
from toy_radiographs import NAMES, toy_radiographs  # noqa: E402

SIDE, LEARNT, MEASURED = 64, 88, 20
STEPS, MEASURED_AT = 150, (75, 150)
#: A landmark that is further off than this in the median is not found, pixels.
LOST = SIDE / 10

BASE: dict[str, Any] = {
    "architecture": "unet",
    "options": {"features": [16, 16, 32, 32, 32, 32], "dropout": 0.0, "stem": 2},
    "sigma_mm": 1.5,
    "batch_size": 4,
    "steps": STEPS,
    "warmup_steps": 30,
    "device": "cpu",
    "bf16": False,
}
MSE = {"losses": [{"name": "mse", "weight": 1000.0}]}
PEAKS = {"losses": [{"name": "peak_weighted_mse"}]}


def quiet_network(config: TrainingConfig, landmarks: int, targets: TargetSettings) -> torch.nn.Module:
    """Heatmaps that start at 0, whatever the loss."""
    network = landmark_network(config, landmarks, targets)
    start_quietly(network, IN_CHANNELS, SIDE)
    return network


#: Name -> (how the network starts, settings).
WAYS = {
    "random start, mean squared error (before)": (landmark_network, MSE),
    "quiet start, mean squared error (now, plain losses)": (fresh_network, MSE),
    "random start, peaks weighted (now)": (fresh_network, PEAKS),
    "quiet start, peaks weighted": (quiet_network, PEAKS),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="first seed, to share the seeds among processes")
    parser.add_argument("--only", nargs="+", default=list(WAYS), choices=list(WAYS), metavar="NAME")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    done = _read(arguments.output)
    for seed in range(arguments.first, arguments.seeds):
        for way in arguments.only:
            if (way, seed) not in done:
                done[way, seed] = run(way, seed)
                with open(arguments.output, "a", encoding="utf-8") as file:
                    file.write(json.dumps({"way": way, "seed": seed, "steps": done[way, seed]}) + "\n")
    print(table(_read(arguments.output)))


def run(way: str, seed: int) -> dict[str, Any]:
    """Step -> names of the dead landmarks, median error over all, lowest mean peak and whose."""
    start, settings = WAYS[way]
    config, slices = TrainingConfig().replaced({**BASE, **settings, "seed": seed}), grid(SIDE)
    targets, device = target_settings(config, slices), torch.device("cpu")
    source = random_xrays(_radiographs(LEARNT, 1), {})
    measured = _radiographs(MEASURED, 2).slices
    learner = Learner(start(config, len(NAMES), targets), config, targets, device)
    found = {}
    for step in range(STEPS):
        learner.learn(source.batch(config.batch_size, (seed, step)), step)
        if step + 1 in MEASURED_AT:
            errors = validation_errors(learner.average.module, measured, targets, device)
            medians, heights = np.nanmedian(errors.distances_mm, axis=0), np.nanmean(errors.heights, axis=0)
            dead = np.flatnonzero((heights < FLAT_BELOW) | (medians > LOST))
            found[str(step + 1)] = {
                "dead": [NAMES[index] for index in dead],
                "median": round(float(np.median(medians)), 3),
                "lowest": round(float(heights.min()), 3),
                "whose": NAMES[int(heights.argmin())],
            }
    return found


@cache
def _radiographs(count: int, seed: int) -> XrayImages:
    return toy_radiographs(count, SIDE, seed)


def table(done: dict[tuple[str, int], dict[str, Any]]) -> str:
    """For each way: runs with a dead landmark, dead landmarks per run, error, the most frequent of the dead."""
    rows = []
    for way in WAYS:
        runs = [steps for (name, _), steps in done.items() if name == way]
        for step in map(str, MEASURED_AT) if runs else ():
            dead = [name for run in runs for name in run[step]["dead"]]
            often = sorted(set(dead), key=lambda name: -dead.count(name))[:3]
            rows.append(
                [
                    way,
                    step,
                    f"{sum(bool(run[step]['dead']) for run in runs)} of {len(runs)}",
                    f"{len(dead) / len(runs):.1f} of {len(NAMES)}",
                    f"{np.median([run[step]['median'] for run in runs]):.2f}",
                    ", ".join(f"{name} {dead.count(name)}" for name in often) or "none",
                ]
            )
    return markdown_table(["way", "step", "runs with a dead landmark", "dead per run", "error, pixels", "which"], rows)


def _read(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(line["way"], line["seed"]): line["steps"] for line in lines}


if __name__ == "__main__":
    main()
