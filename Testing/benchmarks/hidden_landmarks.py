"""What given landmarks are worth where part of the image is missing: a model that takes known landmarks, on real heads.

Run: ``python Testing/benchmarks/hidden_landmarks.py DATA --model NAME|DIR [--per-head N]`` with DATA holding
``heads.csv``. Slices of the validation heads are cut in random poses, and a square of 30 % of their pixels is blanked.
Each row gives 0, 1, 2 and 4 true landmarks of the slice and measures the in-plane error of the same other ones.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "AutoVolumeCalibration"), str(ROOT / "LandmarkTraining")]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol  # noqa: E402
from AutoVolumeCalibrationLib.core.models.bundle import load_model  # noqa: E402
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table  # noqa: E402
from LandmarkTrainingLib.core.evaluation.slice_measurement import (  # noqa: E402
    GIVEN,  # noqa: E402
    RealSlices,  # noqa: E402
    pooled,  # noqa: E402
    real_slices,  # noqa: E402
    slice_errors_mm,  # noqa: E402
)
from LandmarkTrainingLib.core.evaluation.statistics import bootstrap_interval  # noqa: E402
from LandmarkTrainingLib.core.slices.blending import cut_out  # noqa: E402
from LandmarkTrainingLib.core.slices.targets import TargetSettings  # noqa: E402

BLANKED = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", required=True, metavar="NAME|DIR", help="guided bundle")
    parser.add_argument("--per-head", type=int, default=24, help="slices of each head (default: 24)")
    arguments = parser.parse_args()
    model = load_model(arguments.model, "cpu", "torch")
    targets = TargetSettings(model.sigma_mm, model.tau_mm, model.output_stride, model.pixel_mm)
    whole = real_slices(arguments.data, "validation", load_protocol("BrainAcPc").constellation, arguments.per_head)
    images = cut_out(whole.batch.images, BLANKED, np.random.default_rng(0))
    hidden = whole.counted & _at_points(whole, whole.batch.images != 0) & _at_points(whole, images == 0)
    blanked = replace(whole, batch=replace(whole.batch, images=images))
    rows = []
    for name, slices, counted in (
        ("whole slices", whole, whole.counted),
        ("30 % blanked, all", blanked, whole.counted),
        ("30 % blanked, those under it", blanked, hidden),
    ):
        cells = [_cell(model.network, slices, counted, targets, given) for given in GIVEN]
        rows.append([name, *cells])
    print(markdown_table(["median (95 % interval), p95, mm", *(f"{given} given" for given in GIVEN)], rows))


def _at_points(slices: RealSlices, mask: torch.Tensor) -> torch.Tensor:
    """(n, k) bool: a mask (n, H, W) at the landmarks' pixels."""
    pixels = slices.batch.points.nan_to_num(0).round().long().clamp(0, mask.shape[-1] - 1)
    return mask[torch.arange(len(mask))[:, None], pixels[..., 0], pixels[..., 1]]


def _cell(
    network: torch.nn.Module, slices: RealSlices, counted: torch.Tensor, targets: TargetSettings, given: int
) -> str:
    errors = slice_errors_mm(network, slices, targets, torch.device("cpu"), given=given)
    errors[~counted.numpy()] = np.nan
    values, subjects = pooled([errors], slices.subjects)
    median = bootstrap_interval(values, subjects, np.median)
    return f"{median.estimate:.2f} ({median.low:.2f}-{median.high:.2f}), {np.percentile(values, 95):.1f}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
