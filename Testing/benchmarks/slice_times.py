"""Time per slice of every network of a plan, on one thread, prepared as for planning.

Run on an idle machine: ``python Testing/benchmarks/slice_times.py PLAN.json [--rounds 5]``. The networks are timed in
turn over several rounds, and the fastest round counts. Where other programs compute, the script says so and ends: such
times compare nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

import torch  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.detection.backends.torch_network import prepare_for_inference  # noqa: E402
from AutoVolumeCalibrationLib.core.detection.network_input import IN_CHANNELS  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.experiments.ablations.plan import AblationPlan, read_plan  # noqa: E402
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings  # noqa: E402
from LandmarkTrainingLib.core.training.learner import landmark_network  # noqa: E402

#: Slices per call: a study of 3 x 5.
SLICES = 15
#: Mean number of computing programs in the last minute beyond which a machine is not idle.
IDLE_LOAD = 0.5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("plan", type=Path, metavar="PLAN.json")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > IDLE_LOAD:
        sys.exit(f"the machine is busy (load {os.getloadavg()[0]:.1f}): run this when nothing else computes")
    torch.set_num_threads(1)
    times = milliseconds_per_slice(read_plan(arguments.plan), arguments.rounds)
    print(markdown_table(["network", "ms per slice, one thread"], [[name, f"{ms:.1f}"] for name, ms in times.items()]))


def milliseconds_per_slice(plan: AblationPlan, rounds: int) -> dict[str, float]:
    """Variant -> the fastest of all rounds."""
    landmarks = len(load_protocol(plan.base.protocol).constellation.names)
    networks = {
        variant.name: prepare_for_inference(landmark_network(plan.config_of(variant, 0), landmarks).eval())
        for variant in plan.variants
    }
    side = SliceSettings().matrix
    image = torch.zeros(SLICES, IN_CHANNELS, side, side).contiguous(memory_format=torch.channels_last)
    best = dict.fromkeys(networks, float("inf"))
    with torch.inference_mode():
        for _ in range(rounds):
            for name, network in networks.items():
                started = time.perf_counter()
                network(image)
                best[name] = min(best[name], (time.perf_counter() - started) / SLICES * 1000)
    return best


if __name__ == "__main__":
    main()
