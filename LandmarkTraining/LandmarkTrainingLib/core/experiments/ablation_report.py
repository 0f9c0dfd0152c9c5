"""The tables of a comparison of variants: errors with intervals, differences with tests, costs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.detection.backends.torch_network import prepare_for_inference
from AutoVolumeCalibrationLib.core.detection.network_input import IN_CHANNELS

from ..evaluation.metrics import SUCCESS_RADII_MM, markdown_table, success_rates
from ..evaluation.slice_measurement import GIVEN, RealSlices, pooled
from ..evaluation.statistics import bootstrap_interval, compare_paired, holm
from ..simulator.slice_planes import SliceSettings
from ..training.learner import landmark_network
from .ablation import AblationPlan, Outcome, Variant

#: Slices per call when time is measured: a study of 3 x 5; and the number of rounds, of which the fastest counts.
_TIMED_SLICES, _ROUNDS = 15, 5


def report(plan: AblationPlan, outcomes: Sequence[Outcome], slices: RealSlices, landmarks: int) -> str:
    """Markdown about the variants that are measured; the others are tested against the first of them."""
    measured = {v.name: [o for o in outcomes if o.variant == v.name] for v in plan.variants}
    by_variant = {name: found for name, found in measured.items() if found}
    if not by_variant:
        return f"# {plan.title}\n\nNo variant is measured yet.\n"
    rows = {name: pooled([o.errors_mm for o in found], slices.subjects) for name, found in by_variant.items()}
    counted = len(next(iter(rows.values()))[0])
    heads = (
        f"In-plane error on {len(slices.subjects)} slices of {len(set(slices.subjects))} subjects "
        f"({counted} landmarks within reach of a slice), averaged over seeds; intervals: 95 %, subjects resampled."
    )
    parts = [f"# {plan.title}", heads, _error_table(by_variant, rows), _difference_table(rows)]
    parts.append(_cost_table(plan, by_variant, landmarks))
    if any(o.given_errors_mm for o in outcomes):
        parts.append(_given_table(by_variant, slices.subjects))
    return "\n\n".join(parts) + "\n"


def _error_table(by_variant: dict[str, list[Outcome]], rows: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    header = ["variant", "median, mm", "p95, mm", *(f"within {radius:g} mm" for radius in SUCCESS_RADII_MM), "seeds"]
    table = []
    for name, (errors, subjects) in rows.items():
        median = bootstrap_interval(errors, subjects, np.median)
        seeds = ", ".join(f"{np.nanmedian(outcome.errors_mm):.2f}" for outcome in by_variant[name])
        shares = (f"{100 * share:.0f} %" for share in success_rates(errors).values())
        spread = f"{median.estimate:.2f} [{median.low:.2f}, {median.high:.2f}]"
        table.append([name, spread, f"{np.percentile(errors, 95):.1f}", *shares, seeds])
    return markdown_table(header, table)


def _difference_table(rows: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Mean difference of each variant to the first, each subject weighing the same, with Holm's correction."""
    (first, (errors, subjects)), *others = rows.items()
    tests = {name: compare_paired(own, errors, subjects) for name, (own, _) in others}
    corrected = holm([test.p_value for test in tests.values()])
    table = [
        [name, f"{d.estimate:+.2f} [{d.low:+.2f}, {d.high:+.2f}]", f"{p:.2g}"]
        for (name, d), p in zip(((n, t.difference) for n, t in tests.items()), corrected, strict=True)
    ]
    return markdown_table([f"mean error less that of {first}", "mm", "p (Wilcoxon, Holm)"], table)


def _cost_table(plan: AblationPlan, by_variant: dict[str, list[Outcome]], landmarks: int) -> str:
    times = _milliseconds_per_slice(plan, [v for v in plan.variants if v.name in by_variant], landmarks)
    table = [
        [
            name,
            f"{found[0].parameters / 1e6:.2f}",
            f"{times[name]:.1f}",
            f"{np.mean([outcome.seconds for outcome in found]):.0f}",
        ]
        for name, found in by_variant.items()
    ]
    return markdown_table(["variant", "parameters, M", "ms per slice, one thread", "seconds of training"], table)


def _given_table(by_variant: dict[str, list[Outcome]], subjects: Sequence[str]) -> str:
    table = []
    for name, found in by_variant.items():
        if found[0].given_errors_mm:
            cells = []
            for given in GIVEN:
                errors, owners = pooled([o.given_errors_mm[given] for o in found], subjects)
                median = bootstrap_interval(errors, owners, np.median)
                cells.append(f"{median.estimate:.2f} [{median.low:.2f}, {median.high:.2f}]")
            table.append([name, *cells])
    return markdown_table(["median of the others, mm", *(f"{given} given" for given in GIVEN)], table)


def _milliseconds_per_slice(plan: AblationPlan, variants: Sequence[Variant], landmarks: int) -> dict[str, float]:
    """Each network's inference time on one thread, measured in turn over several rounds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    matrix = SliceSettings().matrix
    image = torch.zeros(_TIMED_SLICES, IN_CHANNELS, matrix, matrix).contiguous(memory_format=torch.channels_last)
    networks = {variant.name: _ready(plan, variant, landmarks) for variant in variants}
    best = dict.fromkeys(networks, float("inf"))
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            for name, network in networks.items():
                started = time.perf_counter()
                network(image)
                best[name] = min(best[name], (time.perf_counter() - started) / _TIMED_SLICES * 1000)
    torch.set_num_threads(threads)
    return best


def _ready(plan: AblationPlan, variant: Variant, landmarks: int) -> torch.nn.Module:
    config = plan.base.replaced(dict(variant.settings), source=variant.name)
    return prepare_for_inference(landmark_network(config, landmarks).eval())
