"""What a comparison costs: multiply-adds, steps, and core-hours from a few timed steps of every network.

Run: ``python Testing/benchmarks/plan_costs.py PLAN.json [PLAN.json ...] [--steps 50]``.

Steps are timed by processor time on slices of noise, so that other programs on the machine disturb little; how fast a
core computes still depends on them. A run is its steps, the range test shared by the seeds, and the measurement of 504
slices; simulating the training slices once (7 ms each) comes on top.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

import torch  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.networks.registry import find_architecture  # noqa: E402
from LandmarkTrainingLib.core.config import TrainingConfig  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.evaluation.slice_measurement import GIVEN  # noqa: E402
from LandmarkTrainingLib.core.experiments.ablations import rates  # noqa: E402
from LandmarkTrainingLib.core.experiments.ablations.costs import network_costs, steps_for  # noqa: E402
from LandmarkTrainingLib.core.experiments.ablations.plan import AblationPlan, read_plan  # noqa: E402
from LandmarkTrainingLib.core.simulator.render import SliceBatch  # noqa: E402
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings  # noqa: E402
from LandmarkTrainingLib.core.slices.targets import target_settings  # noqa: E402
from LandmarkTrainingLib.core.training.learner import fresh_network  # noqa: E402
from LandmarkTrainingLib.core.training.search_agent.learner import new_learner  # noqa: E402

#: Slices that a run is measured on.
MEASURED = 504


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("plans", type=Path, nargs="+", metavar="PLAN.json")
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for path in arguments.plans:
        plan = read_plan(path)
        rows, hours = table(plan, arguments.steps)
        print(f"{plan.title}: {hours:.1f} core-hours\n\n{rows}\n", flush=True)


def table(plan: AblationPlan, timed: int) -> tuple[str, float]:
    """Markdown of the plan's rows, and the core-hours of all."""
    landmarks, rows, total = len(load_protocol(plan.base.protocol).constellation.names), [], 0.0
    header = ["variant", "multiply-adds per slice, 10^6", "steps", "s per step", "seeds", "core-hours"]
    for variant in plan.variants:
        config = plan.config_of(variant, plan.seeds_of(variant)[0])
        costs = network_costs(config, landmarks, noise(2, landmarks))
        steps = steps_for(plan.tera_multiply_adds, costs) if plan.tera_multiply_adds else config.steps
        seconds = seconds_per_step(config, landmarks, timed)
        seeds = len(plan.seeds_of(variant))
        # Measurement computes forward only, a third of a step; guidance is measured several times.
        looks = 1 + (len(GIVEN) if find_architecture(config.architecture, {}).guided else 0)
        measured = looks * MEASURED / config.batch_size * seconds / 3
        hours = (seeds * (steps * seconds + measured) + variant.range_test * rates.STEPS * seconds) / 3600
        total += hours
        rows.append(
            [variant.name, f"{costs.per_slice / 1e6:.0f}", str(steps), f"{seconds:.3f}", str(seeds), f"{hours:.2f}"]
        )
        print(f"{variant.name}: {hours:.2f} core-hours", file=sys.stderr, flush=True)
    return markdown_table(header, rows), total


def seconds_per_step(config: TrainingConfig, landmarks: int, steps: int) -> float:
    """Processor time of a step, the first one left out."""
    targets, batch = target_settings(config, SliceSettings()), noise(config.batch_size, landmarks)
    learner = new_learner(fresh_network(config, landmarks, targets), config, targets, torch.device("cpu"))
    learner.learn(batch, 0)
    started = time.process_time()
    for step in range(1, steps + 1):
        learner.learn(batch, step)
    return (time.process_time() - started) / steps


def noise(count: int, landmarks: int) -> SliceBatch:
    """Slices of noise with landmarks in view: only their size matters here."""
    side, generator = SliceSettings().matrix, torch.Generator().manual_seed(0)
    images = torch.rand(count, side, side, generator=generator)
    points = side * torch.rand(count, landmarks, 2, generator=generator)
    seen = torch.ones(count, landmarks, dtype=torch.bool)
    return SliceBatch(images, torch.arange(count) % 3, points, torch.zeros(count, landmarks), seen)


if __name__ == "__main__":
    main()
