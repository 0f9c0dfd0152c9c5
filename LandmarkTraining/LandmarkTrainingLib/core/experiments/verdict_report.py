"""The verdict on a model's boxes as plain JSON values, as tables, and the errors of the boxes model beside model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ..evaluation.case_log import CaseResult
from ..evaluation.case_measures import case_measures
from ..evaluation.metrics import finite_or_none, markdown_table, summarize
from .box_verdict import (
    CONFIDENCE,
    FEWEST_PEOPLE,
    MARGINS,
    BoxDifference,
    BoxVerdict,
    failed_plan,
    name_of,
)
from .model_comparison import ComparedModel, ModelResult

_TITLES = {"rotation_deg": "rotation, deg", "center_mm": "centre, mm", "face_mm": "worst face, mm"}


def verdict_as_dict(verdict: BoxVerdict) -> dict[str, Any]:
    """The keys of ``verdict.boxes`` in a ``comparison.json``."""
    return {
        "people": verdict.people,
        "people_needed": FEWEST_PEOPLE,
        "studies": verdict.studies,
        "measured_people": verdict.measured_people,
        "measured_studies": verdict.measured_studies,
        "failed": verdict.failed,
        "current_failed": verdict.current_failed,
        "measures": {difference.measure: _difference(difference) for difference in verdict.differences},
    }


def verdict_section(results: Sequence[ModelResult]) -> str:
    """For every model but the first: the verdict, its sentences, and the four measures as a table."""
    return "\n\n".join(_verdict(result, results[0]) for result in results[1:])


def box_table(models: Sequence[ComparedModel], cases: Sequence[CaseResult]) -> str:
    """Errors of the boxes, median (95th percentile), model beside model for every kind of scouts."""
    header = ["scouts", "", *(model.name for model in models)]
    rows = []
    for scouts in dict.fromkeys(case.geometry for case in cases):
        by_model = [[c for c in cases if c.geometry == scouts and c.method == model.name] for model in models]
        rows.append([scouts, "failed plans", *(f"{sum(map(failed_plan, own))} of {len(own)}" for own in by_model)])
        rows += [[scouts, title, *(_spread(own, name) for own in by_model)] for name, title in _TITLES.items()]
    return markdown_table(header, rows)


def _verdict(result: ModelResult, first: ModelResult) -> str:
    if result.verdict is None:
        return ""
    title, *reasons = result.verdict.reasons
    items = "\n".join(f"- {reason}" for reason in reasons)
    return f"**{result.model.name}: {title}**\n\n{_verdict_table(result, first)}\n\n{items}"


def _verdict_table(result: ModelResult, first: ModelResult) -> str:
    assert result.verdict is not None
    interval = f"difference ({CONFIDENCE:.0%} interval)"
    header = ["mean over people", first.model.name, result.model.name, interval, "margin", "people", "studies", ""]
    return markdown_table(header, [_row(difference) for difference in result.verdict.boxes.differences])


def _row(difference: BoxDifference) -> list[str]:
    change = difference.difference
    interval = "" if math.isnan(change.low) else f" ({_number(change.low, '+')} to {_number(change.high, '+')})"
    return [
        _TITLES.get(difference.measure, f"{name_of(difference.measure)}, share"),
        _number(difference.current),
        _number(difference.own),
        _number(change.estimate, "+") + interval,
        f"{MARGINS[difference.measure]:g}",
        str(difference.people),
        str(difference.studies),
        difference.finding,
    ]


def _difference(difference: BoxDifference) -> dict[str, Any]:
    numbers = {
        "own": difference.own,
        "current": difference.current,
        "difference": difference.difference.estimate,
        "low": difference.difference.low,
        "high": difference.difference.high,
        "gain_high": difference.gain_high,
    }
    return {
        **{name: finite_or_none(number) for name, number in numbers.items()},
        "margin": MARGINS[difference.measure],
        "people": difference.people,
        "studies": difference.studies,
        "finding": difference.finding,
    }


def _spread(cases: Iterable[CaseResult], measure: str) -> str:
    summary = summarize(case_measures(case)[measure] for case in cases)
    return f"{summary.median:.2f} ({summary.p95:.2f})" if summary.count else "-"


def _number(value: float, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{round(value, 2) + 0.0:{sign}.2f}"  # no -0.00
