"""The few numbers of an evaluation that a bundle's metadata carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..known_heads.brain_extremes import NORMAL_AXIS
from .case_log import CaseResult
from .evaluation_report import is_wrong
from .metrics import Summary, summarize


def measured_errors(results: Sequence[CaseResult], method: str) -> dict[str, Any]:
    """Scouts (P5: five slices per plane) -> median and 95th percentile of the method's errors."""
    geometries = dict.fromkeys(case.geometry for case in results)
    return {name: _errors([c for c in results if c.method == method and c.geometry == name]) for name in geometries}


def _errors(cases: Sequence[CaseResult]) -> dict[str, Any]:
    planned = [case for case in cases if case.box]
    in_plane = [e for c in planned for plane in c.in_plane_mm.values() for marks in plane.values() for e in marks]
    in_space = [e for case in planned for name, e in case.landmarks_mm.items() if name not in NORMAL_AXIS]
    return {
        "heads": len({case.head for case in cases}),
        "cases": len(cases),
        "refused": len(cases) - len(planned),
        "landmark_in_plane_mm": _spread(summarize(e for e in in_plane if e is not None)),
        "landmark_3d_mm": _spread(summarize(in_space)),
        "rotation_deg": _spread(summarize(case.box.rotation_deg for case in planned)),
        "center_mm": _spread(summarize(case.box.center_mm for case in planned)),
        "brain_inside_smallest": round(min(c.covered for c in planned if c.covered is not None), 4),
        "wrong": sum(map(is_wrong, planned)),
        "wrong_and_not_flagged": sum(is_wrong(case) and case.level == "ok" for case in planned),
    }


def _spread(values: Summary) -> dict[str, float]:
    return {"median": round(values.median, 2), "p95": round(values.p95, 2), "mean": round(values.mean, 2)}
