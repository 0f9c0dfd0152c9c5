"""The tables of ``fit_variants.py``."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table
from LandmarkTrainingLib.core.reference_heads.brain_extremes import EXTREMES

from .cases import REAL, SIMULATED, Case
from .held_out_shape import held_out_table
from .measures import SIZES, errors_of, outward_errors, slice_errors, truth_of
from .variants import GROUPS, PRESENT, Planned, Variant, plan

#: A gain beyond so many standard errors is marked, where it rests on so many heads or simulated studies at least. One
#: in twenty of the many cells is marked by chance: a marked gain needs a second reason.
CLEAR, FEWEST_CLUSTERS = 2.0, 5

#: Landmarks and planes with fewer peaks are left out of the table of deviations.
FEWEST_PEAKS = 10

_log = logging.getLogger(__name__)
STAGES = ("best slice", "mean of slices", "fused", "fitted", "truth")


@dataclass(frozen=True, eq=False)
class _Results:
    """The cases in which the head was found, the truth of each, the present plans, and errors by variant."""

    cases: list[Case]
    truths: list
    present: list[Planned]
    errors: dict[str, list[dict[str, float]]]

    def values(self, variant: str, measure: str) -> np.ndarray:
        return np.array([case[measure] for case in self.errors[variant]])


def report(cases: Sequence[Case], protocol: Protocol, model: LandmarkModel, labels: Path) -> str:
    """All tables as Markdown; ``labels`` is the folder of label maps."""
    results = _measured([case for case in cases if case.looks], protocol, model)
    kinds = [kind for kind in (SIMULATED, REAL) if any(case.group == kind for case in results.cases)]
    parts = [f"# Variants of fusion and fit: {model.name} {model.sha256[:8]}", _present_table(results)]
    for group, variants in GROUPS.items():
        for kind in kinds:
            parts += [f"## {group}, {kind}", _gain_table(results, variants, kind)]
    for kind in kinds:
        parts += [f"## Faces, {kind}", _face_table(results, kind)]
        parts += [f"## Way of the extremes, {kind}", _stage_table(results, kind, model)]
        parts += [f"## Stated deviations, {kind}", _deviation_table(results, kind, model)]
    parts += ["## Shape of heads left out", held_out_table(labels, protocol)]
    return "\n\n".join(parts) + "\n"


def _measured(cases: list[Case], protocol: Protocol, model: LandmarkModel) -> _Results:
    truths = [truth_of(case, protocol, model) for case in cases]
    errors, present = {}, []
    for variant in (PRESENT, *(variant for group in GROUPS.values() for variant in group)):
        started = time.perf_counter()
        errors[variant.name] = []
        for case, truth in zip(cases, truths, strict=True):
            try:
                planned = plan(variant, case, protocol, model)
            except InputError:
                errors[variant.name].append(dict.fromkeys((*SIZES, *FACES), np.nan))
                continue
            errors[variant.name].append(errors_of(case, planned, truth, model))
            if variant is PRESENT:
                present.append(planned)
        _log.info("%s: %.1f s", variant.name, time.perf_counter() - started)
    return _Results(cases, truths, present, errors)


def _present_table(results: _Results) -> str:
    rows = []
    for kind in (SIMULATED, REAL):
        for slices in (5, 3, 1):
            chosen = np.array([case.group == kind and case.slices == slices for case in results.cases])
            sizes = [_spread(results.values(PRESENT.name, measure)[chosen]) for measure in SIZES]
            faces = [_signed(results.values(PRESENT.name, face)[chosen]) for face in FACES]
            rows.append([kind, slices, int(chosen.sum()), *sizes, *faces])
    return markdown_table(["studies", "slices", "n", *SIZES, *FACES], rows)


def _face_table(results: _Results, kind: str) -> str:
    """Mean signed error of each face (positive: the box is too large there) of the variants that move faces."""
    chosen = np.array([case.group == kind and case.brain_known for case in results.cases])
    clusters = [case.cluster for case, c in zip(results.cases, chosen, strict=True) if c]
    rows = []
    for variant in (PRESENT, *(variant for group in GROUPS.values() for variant in group)):
        signed = [mean_and_error(results.values(variant.name, face)[chosen], clusters) for face in FACES]
        means = [f"{results.values(variant.name, size)[chosen].mean():.2f}" for size in ("faces", "faces / sd")]
        rows.append([variant.name, *(f"{mean:+.1f} ± {error:.1f}" for mean, error in signed), *means])
    return markdown_table(["variant", *FACES, "absolute", "over sd"], rows)


def _gain_table(results: _Results, variants: Sequence[Variant], kind: str) -> str:
    """Mean paired gain (present minus variant: positive is better) and its standard error by slices per plane."""
    rows = []
    for variant in variants:
        for slices in ((5, 3, 1), (5,), (3,), (1,)):
            chosen = np.array([case.group == kind and case.slices in slices for case in results.cases])
            clusters = [case.cluster for case, c in zip(results.cases, chosen, strict=True) if c]
            cells = []
            for measure in SIZES:
                gain = results.values(PRESENT.name, measure) - results.values(variant.name, measure)
                cells.append(_gain(gain[chosen], clusters))
            rows.append([variant.name, ", ".join(map(str, slices)), *cells])
    return markdown_table(["variant", "slices", *SIZES], rows)


def _gain(gains: np.ndarray, clusters: Sequence[str]) -> str:
    mean, error = mean_and_error(gains, clusters)
    if not np.isfinite(mean):
        return "-"
    if not np.nan_to_num(gains).any():
        return "0"
    independent = len({cluster for cluster, gain in zip(clusters, gains, strict=True) if np.isfinite(gain)})
    clear = abs(mean) > CLEAR * error and abs(mean) >= 0.005 and independent >= FEWEST_CLUSTERS
    mark = " *" if clear else ""
    return f"{mean:+.2f} ± {error:.2f}{mark}"


def mean_and_error(values: np.ndarray, clusters: Sequence[str]) -> tuple[float, float]:
    """Mean of the finite values and its standard error; values of one cluster count as dependent."""
    kept = np.isfinite(values)
    if kept.sum() < 2:
        return np.nan, np.nan
    names, index = np.unique(np.asarray(clusters)[kept], return_inverse=True)
    mean = values[kept].mean()
    sums = np.bincount(index, values[kept] - mean)
    n = len(names)
    return float(mean), float(np.sqrt((sums**2).sum() * n / max(1, n - 1)) / kept.sum())


def _stage_table(results: _Results, kind: str, model: LandmarkModel) -> str:
    """Mean error outwards ± standard error, and the slope of the error over how unusual the head is (-1: not seen)."""
    found: dict[tuple[str, str], list[tuple[float, float, str]]] = {}
    for case, truth, planned in zip(results.cases, results.truths, results.present, strict=True):
        if case.group == kind and case.brain_known:
            for name, stage, error, beyond in outward_errors(case, planned, truth, model):
                found.setdefault((_both_sides(name), stage), []).append((error, beyond, case.cluster))
    rows = []
    for name in dict.fromkeys(_both_sides(extreme.name) for extreme in EXTREMES):
        unusual = [beyond for _, beyond, _ in found.get((name, "truth"), [])]
        usual = f"{np.mean(unusual):+.1f}, {np.std(unusual):.1f}" if unusual else "-"
        rows.append([name, usual, *(_stage(found.get((name, stage), [])) for stage in STAGES)])
    return markdown_table(["extreme", "beyond the expected: mean, sd", *STAGES], rows)


def _both_sides(name: str) -> str:
    return name.removesuffix("_L").removesuffix("_R")


def _stage(found: list[tuple[float, float, str]]) -> str:
    if len(found) < FEWEST_PEAKS:
        return "-"
    errors, beyond = np.array([e for e, _, _ in found]), np.array([b for _, b, _ in found])
    mean, deviation = mean_and_error(errors, [cluster for *_, cluster in found])
    return f"{mean:+.1f} ± {deviation:.1f}, {np.polyfit(beyond, errors, 1)[0]:+.2f}"


def _deviation_table(results: _Results, kind: str, model: LandmarkModel) -> str:
    """Peaks whose errors are the largest for their stated deviations: root mean square of error over deviation."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for case, planned in zip(results.cases, results.present, strict=True):
        if case.group == kind:
            for peak in slice_errors(case, planned, model):
                for key in ((peak.name, peak.plane), ("all", peak.plane)):
                    found.setdefault(key, []).append((peak.error_mm, peak.deviations))
    rows = []
    for (name, plane), peaks in found.items():
        errors, deviations = np.array(peaks).T
        if len(peaks) >= FEWEST_PEAKS:
            size = np.sqrt(np.mean(np.minimum(deviations, 6) ** 2))
            rows.append([name, plane, len(peaks), _spread(errors), f"{size:.2f}", f"{np.median(deviations):.2f}"])
    rows.sort(key=lambda row: (row[0] != "all", -float(row[4])))
    header = ["landmark", "plane", "n", "error med (p95) mm", "rms over sd", "median over sd"]
    return markdown_table(header, rows[:18])


def _spread(values: np.ndarray) -> str:
    values = values[np.isfinite(values)]
    return f"{np.median(values):.1f} ({np.percentile(values, 95):.1f})" if len(values) else "-"


def _signed(values: np.ndarray) -> str:
    return f"{np.nanmean(values):+.1f}" if np.isfinite(values).any() else "-"
