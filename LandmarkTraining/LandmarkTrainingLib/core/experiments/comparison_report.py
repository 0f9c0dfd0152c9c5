"""A comparison of models as files: ``comparison.json`` for programs, ``comparison.md`` for readers.

``comparison.json`` holds (unknown numbers are null)::

    format, protocol, box: name of the box that was planned, confidence: of all intervals, 0.9
    not_compared: [landmarks that some of the models know and others do not; left out of all landmark measures]
    data: {kind: "dataset" | "heads", folder, fingerprint, cases, subjects, left_out: [studies learnt from]}
    models: the current one first, each
        {name, source: name or folder, sha256, cases, refused, failed_plans: refused or the box too far off,
         failures: refused or half of the landmarks not found, seconds: median of a study,
         measures: {measure: {median, low, high, cases, without_truth}},
         success: {"2": share within 2 mm, "2.5", "3", "4"},
         similarity, mean_average_precision, presence: {precision, recall, f1},
         differences: {measure: {mean, low, high, p, p_corrected, own_median, first_median, worst, subjects, cases}},
         verdict: null for the current one,
             {better, outcome: "better" | "as good" | "worse" | "undecided" | "not enough people",
              reasons: [sentences, the verdict first],
              boxes: {people, people_needed, studies: with a true box and a plan of both models,
                      measured_people, measured_studies: all, failed, current_failed: numbers of failed plans,
                      measures: {rotation_deg, center_mm, face_mm, failed (a share):
                          {own, current: means over people, difference, low, high, margin,
                           gain_high: must be below 0 for a gain, people, studies, finding: as outcome}}}}}
    cases: [{case, subject, model, failure: null or why, and a number for each measure}]

Measures are those of ``case_measures.MEASURES``. Files of earlier versions have no box, not_compared, failed_plans,
outcome and boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json, require_schema

from ..evaluation.case_log import CaseResult
from ..evaluation.case_measures import MEASURES, case_measures
from ..evaluation.dataset_measurement import GEOMETRY
from ..evaluation.keypoint_metrics import PresenceScores
from ..evaluation.metrics import finite_or_none, markdown_table
from ..evaluation.statistics import Interval
from .box_verdict import CONFIDENCE
from .model_comparison import Comparison, Difference, Measured, ModelResult, Verdict
from .verdict_report import box_table, verdict_as_dict, verdict_section

FORMAT = "AutoVolumeCalibration/comparison/1"
JSON_FILE, MARKDOWN_FILE = "comparison.json", "comparison.md"


def write_comparison(folder: Path, comparison: Comparison) -> Path:
    """Write both files; returns the path of the JSON file. UsageError if the folder cannot be written."""
    write_text(folder / MARKDOWN_FILE, markdown(comparison))
    write_text(folder / JSON_FILE, json_text(as_dict(comparison)))
    return folder / JSON_FILE


def read_comparison(path: Path) -> dict[str, Any]:
    """The content of a ``comparison.json``; InputError if it is not one."""
    remedy = "Compare the models again."
    data = read_json(path, InputError, remedy)
    require_schema(data, "comparison", path, InputError, remedy)
    return data


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain JSON values."""
    data, first = comparison.data, comparison.results[0]
    return {
        "format": FORMAT,
        "protocol": comparison.protocol,
        "box": comparison.box,
        "not_compared": list(comparison.not_compared),
        "confidence": CONFIDENCE,
        "data": {
            "kind": data.kind,
            "folder": data.folder,
            "fingerprint": data.fingerprint,
            "cases": first.cases,
            "subjects": _subjects(comparison),
            "left_out": list(data.left_out),
        },
        "models": [_model(result) for result in comparison.results],
        "cases": [_case(case, data.subjects[case.head]) for case in comparison.cases],
    }


def markdown(comparison: Comparison) -> str:
    """The comparison as tables."""
    data, first = comparison.data, comparison.results[0]
    intro = f"{first.cases} cases of {_subjects(comparison)} subjects in {data.folder} "
    intro += f"(SHA-256 {data.fingerprint[:12]})."
    if data.left_out:
        intro += f" {len(data.left_out)} more were left out, because a model learnt from their subjects."
    intro += f" The box is that of {comparison.protocol}{', ' if comparison.box else ''}{comparison.box}."
    if comparison.not_compared:
        intro += f" Not compared, because not every model knows them: {', '.join(comparison.not_compared)}."
    interval = f"{CONFIDENCE:.0%} interval by subject"
    models = [result.model for result in comparison.results]
    sections = [("Boxes: median (95th percentile)", box_table(models, comparison.cases))]
    if len(comparison.results) > 1:
        sections.insert(0, ("Better than the current model?", verdict_section(comparison.results)))
    sections += [
        ("Models", _model_table(comparison.results)),
        (f"Median errors ({interval}; number of cases with a truth)", _measure_table(comparison.results)),
    ]
    if len(comparison.results) > 1:
        title = f"Mean difference to {first.model.name} ({interval}; p, corrected p)"
        sections.append((title, _difference_table(comparison.results)))
    tables = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections)
    return f"# Comparison of models\n\n{intro}\n\n{tables}\n"


def _model_table(results: Sequence[ModelResult]) -> str:
    radii = [f"within {radius:g} mm" for radius in results[0].success]
    header = [
        "model",
        "cases",
        "refused",
        "failed plans",
        "half not found",
        *radii,
        "OKS",
        "mAP",
        "presence F1",
        "s per study",
    ]
    rows = [
        [
            *(result.model.name, result.cases, result.refused, result.failed_plans),
            result.failures - result.refused,
            *(_percent(share) for share in result.success.values()),
            *map(_number, (result.similarity, result.mean_average_precision, result.presence.f1, result.seconds)),
        ]
        for result in results
    ]
    return markdown_table(header, rows)


def _measure_table(results: Sequence[ModelResult]) -> str:
    rows = [[title, *(_measured(result.measures[name]) for result in results)] for name, title in MEASURES.items()]
    return markdown_table(["measure", *(result.model.name for result in results)], rows)


def _measured(measured: Measured) -> str:
    return f"{_with_interval(measured.median)}; {measured.cases}" if measured.cases else "-"


def _difference_table(results: Sequence[ModelResult]) -> str:
    others = results[1:]
    rows = [[title, *(_difference(result.differences[name]) for result in others)] for name, title in MEASURES.items()]
    return markdown_table(["measure", *(result.model.name for result in others)], rows)


def _difference(difference: Difference) -> str:
    if not difference.cases:
        return "-"
    p_values = f"p {_number(difference.p_value, 3)}, {_number(difference.p_corrected, 3)}"
    return f"{_with_interval(difference.mean, '+')}; {p_values}"


def _with_interval(interval: Interval, sign: str = "") -> str:
    text = f"{interval.estimate:{sign}.2f}"
    return text if math.isnan(interval.low) else f"{text} ({interval.low:{sign}.2f} to {interval.high:{sign}.2f})"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.0%}"


def _number(value: float, digits: int = 2) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _subjects(comparison: Comparison) -> int:
    return len({comparison.data.subjects[case.head] for case in comparison.cases})


def _model(result: ModelResult) -> dict[str, Any]:
    return {
        "name": result.model.name,
        "source": result.model.source,
        "sha256": result.model.sha256,
        "cases": result.cases,
        "refused": result.refused,
        "failures": result.failures,
        "failed_plans": result.failed_plans,
        "seconds": finite_or_none(result.seconds),
        "measures": {name: _measured_as_dict(measured) for name, measured in result.measures.items()},
        "success": {f"{radius:g}": finite_or_none(share) for radius, share in result.success.items()},
        "similarity": finite_or_none(result.similarity),
        "mean_average_precision": finite_or_none(result.mean_average_precision),
        "presence": _presence(result.presence),
        "differences": {name: _difference_as_dict(difference) for name, difference in result.differences.items()},
        "verdict": _verdict(result.verdict),
    }


def _measured_as_dict(measured: Measured) -> dict[str, Any]:
    median = measured.median
    numbers = {"median": median.estimate, "low": median.low, "high": median.high}
    counts = {"cases": measured.cases, "without_truth": measured.without_truth}
    return {**{name: finite_or_none(number) for name, number in numbers.items()}, **counts}


def _difference_as_dict(difference: Difference) -> dict[str, Any]:
    numbers = {
        "mean": difference.mean.estimate,
        "low": difference.mean.low,
        "high": difference.mean.high,
        "p": difference.p_value,
        "p_corrected": difference.p_corrected,
        "own_median": difference.own_median,
        "first_median": difference.first_median,
        "worst": difference.worst,
    }
    counts = {"subjects": difference.subjects, "cases": difference.cases}
    return {**{name: finite_or_none(number) for name, number in numbers.items()}, **counts}


def _presence(scores: PresenceScores) -> dict[str, float | None]:
    return {name: finite_or_none(getattr(scores, name)) for name in ("precision", "recall", "f1")}


def _verdict(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "better": verdict.better,
        "outcome": verdict.boxes.outcome,
        "reasons": list(verdict.reasons),
        "boxes": verdict_as_dict(verdict.boxes),
    }


def _case(case: CaseResult, subject: str) -> dict[str, Any]:
    name = case.head if case.geometry == GEOMETRY else f"{case.head}, pose {case.pose}, {case.geometry}"
    values = {measure: finite_or_none(value) for measure, value in case_measures(case).items()}
    return {"case": name, "subject": subject, "model": case.method, "failure": case.failure, **values}
