"""One GU2Net for several anatomies against one for each, at equal budget.

Every run learns from the same simulated slices, as many of each anatomy; the joint run takes the steps of all single
ones together, so that the multiply-adds are equal too. Measured are the averaged weights of the last step on slices of
label maps that no run learnt from. Running it again goes on where it was stopped.

Usage: ``.venv/bin/python Testing/benchmarks/joint_training.py PLAN.json --labels DIR DIR --output DIR [--seed 0]``,
with the folder of label maps of each of the plan's anatomies.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from LandmarkTrainingLib.core.config import TrainingConfig  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.evaluation.validation import inplane_errors_mm  # noqa: E402
from LandmarkTrainingLib.core.joint.anatomies import Anatomy, anatomy_data, joint_config, read_anatomies  # noqa: E402
from LandmarkTrainingLib.core.runs.run_folder import RunFolder  # noqa: E402
from LandmarkTrainingLib.core.simulator.render import SliceBatch, simulate_batch  # noqa: E402
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings  # noqa: E402
from LandmarkTrainingLib.core.slices.anatomies import each_anatomy, joint_data  # noqa: E402
from LandmarkTrainingLib.core.slices.batches import TrainingData, encode  # noqa: E402
from LandmarkTrainingLib.core.slices.sources import FixedSlices, joined, part_of  # noqa: E402
from LandmarkTrainingLib.core.slices.targets import target_settings  # noqa: E402
from LandmarkTrainingLib.core.training.learner import landmark_network  # noqa: E402
from LandmarkTrainingLib.core.training.trainer import train  # noqa: E402

#: Seeds of the slices: to learn from, and to measure on (other ones than those that a run validates on).
LEARNT, MEASURED = 20261201, 20261202


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--labels", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    plan = json.loads(arguments.plan.read_text(encoding="utf-8"))
    named = plan["training"]["anatomies"]
    labels = [{**entry, "labels": str(folder)} for entry, folder in zip(named, arguments.labels, strict=True)]
    config = TrainingConfig().replaced({**plan["training"], "seed": arguments.seed, "anatomies": labels})
    anatomies = read_anatomies(config)
    config = replace(joint_config(config, anatomies), steps=plan["steps_per_anatomy"] * len(anatomies))
    arguments.output.mkdir(parents=True, exist_ok=True)
    loaded = [anatomy_data(anatomy) for anatomy in anatomies]
    data = [_on_fixed_slices(part, plan["slices"], arguments.output) for part in loaded]
    measured = [_slices(part, part.check_heads, plan["measured_slices"], MEASURED) for part in loaded]
    runs: dict[str, tuple[TrainingConfig, TrainingData, Sequence[SliceBatch]]] = {
        f"{anatomy.title} alone": (_alone(anatomy, plan), part, [batch])
        for anatomy, part, batch in zip(anatomies, data, measured, strict=True)
    }
    runs["together"] = (config, joint_data(data), measured)
    rows = [row for name, run in runs.items() for row in _rows(name, *run, arguments.output / name.replace(" ", "_"))]
    header = ["run", "measured on", "steps", "slices of it", "G multiply-adds / slice", "median mm", "p95 mm"]
    text = markdown_table([*header, "sagittal / coronal / axial median mm", "parameters"], rows)
    (arguments.output / "report.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def _alone(anatomy: Anatomy, plan: Mapping[str, Any]) -> TrainingConfig:
    return replace(anatomy.config, steps=plan["steps_per_anatomy"])


def _on_fixed_slices(data: TrainingData, count: int, folder: Path) -> TrainingData:
    """The data with ``count`` slices of the training source instead of new ones for each batch."""
    kept = folder / f"{data.title}_slices.pt"
    if not kept.exists():
        batches = [data.source.batch(48, (LEARNT, start)) for start in range(0, count, 48)]
        torch.save(vars(joined(batches)), kept)
    slices = part_of(SliceBatch(**torch.load(kept, weights_only=True)), slice(0, count))
    return replace(data, source=FixedSlices(slices, data.mirror))


def _slices(data: TrainingData, heads: Any, count: int, seed: int) -> SliceBatch:
    return simulate_batch(heads, data.mirror, count, (seed,), SliceSettings())


def _rows(
    name: str, config: TrainingConfig, data: TrainingData, measured: Sequence[SliceBatch], folder: Path
) -> list[list[str]]:
    """Train, then measure on each anatomy."""
    train(config, data, folder, resume=folder.exists(), progress=lambda *line: print(name, line[2], flush=True))
    targets = target_settings(config, SliceSettings())
    network = landmark_network(config, len(data.names), targets)
    network.load_state_dict(RunFolder(folder).last_weights())
    rows = []
    for (own, part), batch in zip(each_anatomy(network.eval(), data), measured, strict=True):
        errors = inplane_errors_mm(own, batch, targets, torch.device("cpu"))
        planes = " / ".join(f"{errors[f'{plane}_mm']:.1f}" for plane in ("sagittal", "coronal", "axial"))
        steps = config.steps // max(1, len(data.anatomies))
        rows.append(
            [
                *(name, part.title, str(config.steps), str(steps * config.batch_size)),
                f"{_multiply_adds(own, batch) / 1e9:.3f}",
                *(f"{errors['median_mm']:.2f}", f"{errors['p95_mm']:.1f}", planes),
                f"{sum(parameter.numel() for parameter in network.parameters()):,}",
            ]
        )
    return rows


def _multiply_adds(network: torch.nn.Module, batch: SliceBatch) -> float:
    """Multiply-adds of one slice forwards, the mean over the planes."""
    chosen = [int(np.flatnonzero(batch.planes.numpy() == plane)[0]) for plane in range(3)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(encode(part_of(batch, torch.tensor(chosen))))
    return counter.get_total_flops() / 2 / len(chosen)


if __name__ == "__main__":
    main()
