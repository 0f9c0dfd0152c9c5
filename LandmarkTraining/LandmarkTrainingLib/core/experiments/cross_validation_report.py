"""A cross-validation as files: ``crossvalidation.json`` for programs, ``report.md`` for readers.

``crossvalidation.json`` holds (unknown numbers are null)::

    format, confidence: of all intervals, 0.95
    base: the starting model, "" where there was none
    trained: {points, subjects, median, low, high, p95, success: {"2": share within 2 mm, "2.5", "3", "4"}}
    starting: the same of the starting model, null where there was none
    difference: trained less starting, {mean, low, high, p, subjects, points}, null where there was none
    folds: [{fold, subjects, step: of the weights, points, median, p95, starting_median}]
    planes, landmarks: {name: {points, median, p95}}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES

from ..evaluation.metrics import finite_or_none, markdown_table, success_rates, summarize
from ..evaluation.statistics import bootstrap_interval, compare_paired
from ..evaluation.validation import NEAR_MM
from .cross_validation import FORMAT, FoldResult
from .fold_measurement import PointError

CONFIDENCE = 0.95
JSON_FILE, REPORT_FILE = "crossvalidation.json", "report.md"


def write_cross_validation(folder: Path, folds: Sequence[FoldResult], base: str) -> str:
    """Write both files; returns the text of the report. UsageError if the folder cannot be written."""
    summary = summarise_folds(folds, base)
    write_text(folder / JSON_FILE, json_text(summary))
    text = report(summary)
    write_text(folder / REPORT_FILE, text)
    return text


def summarise_folds(folds: Sequence[FoldResult], base: str) -> dict[str, Any]:
    """Summary of the folds' errors, all points of all folds pooled, as plain JSON values.

    Intervals are bootstrapped over subjects. The trained and the starting model are compared on the points that both
    have, each subject counting once (``compare_paired``).
    """
    points = [point for fold in folds for point in fold.errors]
    return {
        "format": FORMAT,
        "confidence": CONFIDENCE,
        "base": base,
        "trained": _pooled(points, lambda point: point.error_mm),
        "starting": _pooled(points, lambda point: point.starting_mm) if base else None,
        "difference": _difference(points) if base else None,
        "folds": [_fold(fold) for fold in folds],
        "planes": _by(points, lambda point: point.plane, PLANES),
        "landmarks": _by(points, lambda point: point.landmark, sorted({point.landmark for point in points})),
    }


def report(summary: Mapping[str, Any]) -> str:
    """The summary as Markdown."""
    trained, folds = summary["trained"], summary["folds"]
    intro = (
        f"{len(folds)} folds by subject. In-plane errors in mm of {trained['points']} landmarks on slices of "
        f"{trained['subjects']} subjects, each measured with weights that learnt from none of the fold's subjects; "
        f"landmarks within {NEAR_MM:g} mm of a slice, without extremes. Intervals: {summary['confidence']:.0%}, "
        "subjects resampled."
    )
    sections = [
        f"# Cross-validation\n\n{intro}",
        _pooled_table(summary),
        *([_difference_sentence(summary)] if summary["difference"] else []),
        f"## Folds\n\n{_fold_table(folds, summary['starting'] is not None)}",
        f"## Planes\n\n{_part_table('plane', summary['planes'])}",
        f"## Landmarks\n\n{_part_table('landmark', summary['landmarks'])}",
    ]
    return "\n\n".join(sections) + "\n"


def _pooled(points: Sequence[PointError], error_of: Callable[[PointError], float | None]) -> dict[str, Any]:
    known = [(error, point.subject) for point in points if (error := error_of(point)) is not None]
    errors, subjects = [error for error, _ in known], [subject for _, subject in known]
    median = bootstrap_interval(errors, subjects, np.median, confidence=CONFIDENCE)
    return {
        "points": len(errors),
        "subjects": len(set(subjects)),
        "median": finite_or_none(median.estimate),
        "low": finite_or_none(median.low),
        "high": finite_or_none(median.high),
        "p95": finite_or_none(summarize(errors).p95),
        "success": {f"{radius:g}": finite_or_none(share) for radius, share in success_rates(errors).items()},
    }


def _difference(points: Sequence[PointError]) -> dict[str, Any]:
    before = [math.nan if point.starting_mm is None else point.starting_mm for point in points]
    found = compare_paired(
        [point.error_mm for point in points], before, [point.subject for point in points], confidence=CONFIDENCE
    )
    mean = found.difference
    numbers = {"mean": mean.estimate, "low": mean.low, "high": mean.high, "p": found.p_value}
    return {
        **{key: finite_or_none(value) for key, value in numbers.items()},
        "subjects": found.subjects,
        "points": found.cases,
    }


def _fold(fold: FoldResult) -> dict[str, Any]:
    part = _part([point.error_mm for point in fold.errors])
    before = _part([point.starting_mm for point in fold.errors if point.starting_mm is not None])
    head = {"fold": fold.number, "subjects": list(fold.subjects), "step": fold.step}
    return {**head, **part, "starting_median": before["median"]}


def _by(
    points: Sequence[PointError], key_of: Callable[[PointError], str], keys: Iterable[str]
) -> dict[str, dict[str, Any]]:
    return {key: _part([point.error_mm for point in points if key_of(point) == key]) for key in keys}


def _part(errors: Sequence[float]) -> dict[str, Any]:
    summary = summarize(errors)
    return {"points": summary.count, "median": finite_or_none(summary.median), "p95": finite_or_none(summary.p95)}


def _pooled_table(summary: Mapping[str, Any]) -> str:
    names = {"trained": "fine-tuned" if summary["base"] else "trained", "starting": summary["base"]}
    radii = [f"within {radius} mm" for radius in summary["trained"]["success"]]
    rows = [
        [
            name,
            _with_interval(pooled["median"], pooled["low"], pooled["high"]),
            _number(pooled["p95"]),
            *(_number(share, "{:.0%}") for share in pooled["success"].values()),
            pooled["points"],
        ]
        for key, name in names.items()
        if (pooled := summary[key])
    ]
    return markdown_table(["model", "median, mm", "p95, mm", *radii, "points"], rows)


def _difference_sentence(summary: Mapping[str, Any]) -> str:
    found = summary["difference"]
    mean = _with_interval(found["mean"], found["low"], found["high"], "{:+.2f}")
    p_value = _number(found["p"], "{:.2g}")
    subjects = f"{found['subjects']} subjects, each weighing the same"
    return f"Mean error less that of {summary['base']}: {mean} mm ({subjects}; Wilcoxon p = {p_value})."


def _fold_table(folds: Sequence[Mapping[str, Any]], with_starting: bool) -> str:
    header = ["fold", "held out", "step", "points", "median, mm", "p95, mm"]
    rows = []
    for fold in folds:
        subjects = ", ".join(fold["subjects"][:3]) + (" ..." if len(fold["subjects"]) > 3 else "")
        numbers = [_number(fold["median"]), _number(fold["p95"])]
        before = [_number(fold["starting_median"])] if with_starting else []
        rows.append([fold["fold"], subjects, fold["step"], fold["points"], *numbers, *before])
    return markdown_table([*header, *(["before, mm"] if with_starting else [])], rows)


def _part_table(title: str, parts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [[name, part["points"], _number(part["median"]), _number(part["p95"])] for name, part in parts.items()]
    return markdown_table([title, "points", "median, mm", "p95, mm"], rows)


def _with_interval(estimate: float | None, low: float | None, high: float | None, form: str = "{:.2f}") -> str:
    text = _number(estimate, form)
    return text if low is None or high is None else f"{text} [{form.format(low)}, {form.format(high)}]"


def _number(value: float | None, form: str = "{:.2f}") -> str:
    return "-" if value is None else form.format(value)
