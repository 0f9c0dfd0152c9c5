"""Search agents (Ghesu 2019) beside a U-Net: the same few landmarks, the same simulated slices, the same real slices.

Run: ``python Testing/benchmarks/search_agents.py --labels LABELS --data DATA --output FOLDER [PLAN]``. Trains what
the plan (default ``plans/search_agents.json``) lists on label maps, and measures it on slices of the heads of split
``train`` in ``DATA/heads.csv``, which nothing here learns from: positions, and whether an absent landmark is noticed.
Writes ``report.md``. It is resumed where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("AutoVolumeCalibration", "LandmarkTraining", "Testing")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.detection.heatmaps import decode_peaks, to_image_pixels  # noqa: E402
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text  # noqa: E402
from AutoVolumeCalibrationLib.core.files.resources import resource_path  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.evaluation.slice_measurement import RealSlices, real_slices  # noqa: E402
from LandmarkTrainingLib.core.experiments import ablation  # noqa: E402
from LandmarkTrainingLib.core.experiments.ablations.plan import AblationPlan, Variant, read_plan  # noqa: E402
from LandmarkTrainingLib.core.runs.run_folder import RunFolder  # noqa: E402
from LandmarkTrainingLib.core.simulator.slice_planes import SliceSettings  # noqa: E402
from LandmarkTrainingLib.core.slices.batches import encode  # noqa: E402
from LandmarkTrainingLib.core.slices.sources import part_of  # noqa: E402
from LandmarkTrainingLib.core.slices.targets import target_settings  # noqa: E402
from LandmarkTrainingLib.core.training.bundle_export import DEFAULT_THRESHOLD  # noqa: E402
from LandmarkTrainingLib.core.training.learner import landmark_network  # noqa: E402

#: All on the midline, so that they are on the same slices.
LANDMARKS = ("AC", "PC", "GENU", "SPLE")
#: Slices of each head; a landmark is on a slice up to the first distance, and absent from the second one on, mm.
PER_HEAD, ON_SLICE_MM, ABSENT_MM = 48, 6.0, 30.0
#: An answer as far as this from the landmark has found it, mm.
NEAR_MM = 10.0
PIXEL_MM = SliceSettings().pixel_mm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", nargs="?", type=Path, default=Path(__file__).parent / "plans" / "search_agents.json")
    parser.add_argument("--labels", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    protocol = protocol_of_few(LANDMARKS, arguments.output / "few_landmarks.json")
    plan = read_plan(arguments.plan)
    plan = replace(plan, base=replace(plan.base, protocol=str(protocol)))
    constellation = load_protocol(protocol).constellation
    slices = real_slices(arguments.data, "train", constellation, per_head=PER_HEAD)
    outcomes = ablation.run_ablation(plan, arguments.labels, arguments.data, slices, arguments.output, say=print)
    table = found_table(plan, outcomes, slices, arguments.output)
    write_text(arguments.output / "report.md", table)
    print(table)


def protocol_of_few(names: tuple[str, ...], path: Path) -> Path:
    """Write the brain's protocol with these landmarks alone; its box is of no use."""
    anatomy = json.loads(resource_path("Anatomies", "brain.json").read_text(encoding="utf-8"))
    protocol = json.loads(resource_path("Protocols", "BrainAcPc.json").read_text(encoding="utf-8"))
    index = [[entry["name"] for entry in anatomy["landmarks"]].index(name) for name in names]
    face: dict[str, Any] = {"landmark": names[0], "margin_mm": 80}
    box = {**protocol["boxes"][0], "faces": dict.fromkeys(protocol["boxes"][0]["faces"], face)}
    few = {
        **{key: value for key, value in protocol.items() if key != "anatomy"},
        "name": "FewLandmarks",
        "landmarks": [anatomy["landmarks"][i] for i in index],
        "modes_mm": [[mode[i] for i in index] for mode in anatomy["modes_mm"]],
        "boxes": [box],
    }
    write_text(path, json.dumps(few, indent=1))
    return path


def found_table(plan: AblationPlan, outcomes: Sequence[ablation.Outcome], slices: RealSlices, output: Path) -> str:
    """A row for each training: landmarks found near, found elsewhere and missed on their slices, refused on others."""
    depth = slices.batch.depths_mm.abs()
    on_slice = (slices.batch.visible & (depth <= ON_SLICE_MM)).numpy()
    absent = (slices.batch.known & ~(slices.batch.visible & (depth < ABSENT_MM))).numpy()
    rows = []
    for outcome in outcomes:
        variant = next(one for one in plan.variants if one.name == outcome.variant)
        found = _found(plan, variant, ablation.run_place(output, variant.name, outcome.seed), slices)
        distances = np.linalg.norm(found.points_mm - slices.batch.points.numpy() * PIXEL_MM, axis=-1)
        near, anywhere = found.answered & (distances <= NEAR_MM), found.answered & on_slice
        shares = near[on_slice].mean(), (found.answered & ~near)[on_slice].mean(), 1 - found.answered[absent].mean()
        spread = np.percentile(distances[anywhere], (50, 95)) if anywhere.any() else (np.nan, np.nan)
        sizes = str(outcome.steps), f"{outcome.per_training / 1e12:.1f}", f"{outcome.seconds:.0f}"
        percents = (f"{100 * share:.0f} %" for share in shares)
        rows.append([variant.name, str(outcome.seed), *sizes, *percents, f"{spread[0]:.1f} ({spread[1]:.0f})"])
    sizes = "steps", "10^12 multiply-adds", "seconds"
    found_of = f"found within {NEAR_MM:g} mm, of {on_slice.sum()} on the slice", "found elsewhere"
    header = ["variant", "seed", *sizes, *found_of, f"refused, of {absent.sum()} absent", "found: median (p95), mm"]
    return markdown_table(header, rows) + "\n"


class Found(NamedTuple):
    """What a network answers: (n, k) whether its peak is above the threshold of bundles, (n, k, 2) where, mm."""

    answered: np.ndarray
    points_mm: np.ndarray


@torch.inference_mode()
def _found(plan: AblationPlan, variant: Variant, run: Path, slices: RealSlices) -> Found:
    config = plan.base.replaced(dict(variant.settings), source=variant.name)
    targets = target_settings(config, SliceSettings())
    network = landmark_network(config, len(LANDMARKS), targets)
    network.load_state_dict(RunFolder(run).last_weights())
    network.eval()
    heights, points = [], []
    for start in range(0, len(slices.subjects), 16):
        image = encode(part_of(slices.batch, slice(start, start + 16)))
        peaks = decode_peaks(network(image).float(), targets.sigma_pixels)
        heights.append(peaks.peak_values)
        points.append(to_image_pixels(peaks.positions, targets.stem) * PIXEL_MM)
    return Found(np.concatenate(heights) >= DEFAULT_THRESHOLD, np.concatenate(points))


if __name__ == "__main__":
    main()
