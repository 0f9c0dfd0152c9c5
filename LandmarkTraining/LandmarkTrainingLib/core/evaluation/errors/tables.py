"""Report tables of what is scanned: slices, whole anatomy inside, joint, and the lights of the checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING

from ..case_log import CaseResult
from ..metrics import markdown_table, summarize

#: Cell of what was not measured.
NOTHING = "-"

Group = tuple[tuple[str, ...], list[CaseResult]]


def slice_table(groups: Sequence[Group]) -> str:
    """Angles of the planned slices against the true ones, and how often the box holds the whole anatomy."""
    header = [
        "scouts", "method", "n", "angle between normals med (p95) deg", "rotation in plane med (p95) deg",
        "frame rotation med (p95) deg", "100 % inside", "with margins for the uncertainty",
    ]  # fmt: skip
    rows = []
    for key, cases in groups:
        angled = [case for case in cases if len(case.slice_angles_deg)]
        if not angled:
            continue
        rows.append([
            *key, len(cases), *(_spread(case.slice_angles_deg[i] for case in angled) for i in (0, 1)),
            _spread(float(np.linalg.norm(case.frame_angles_deg)) for case in angled),
            _whole(cases, lambda case: case.covered), _whole(cases, lambda case: case.covered_planned),
        ])  # fmt: skip
    return markdown_table(header, rows) if rows else ""


def joint_table(groups: Sequence[Group]) -> str:
    """Errors of a joint's angles, and how often the side of the body is right; empty without joints."""
    header = ["scouts", "method", "n", "angle", "error med (p95) deg", "mean deg", "side right"]
    rows = []
    for key, cases in groups:
        sides = [case.side_right for case in cases if case.side_right is not None]
        for name in sorted({name for case in cases for name in case.joint_deg}):
            errors = [case.joint_deg[name] for case in cases if name in case.joint_deg]
            side = f"{np.mean(sides):.0%}" if sides else NOTHING
            rows.append([*key, len(cases), name, _spread(map(abs, errors)), f"{np.mean(errors):+.1f}", side])
    return markdown_table(header, rows) if rows else ""


def light_table(groups: Sequence[Group], is_wrong: Callable[[CaseResult], bool]) -> str:
    """How many plans are green, yellow and red, and how many of each are wrong; without methods that have no checks."""
    header = ["scouts", "method", "n", "green", "yellow", "red", "refused", *(f"wrong, {c}" for c in _COLOURS.values())]
    rows = []
    for key, cases in groups:
        if all(case.level is None for case in cases):
            continue
        refused = sum(case.failure is not None for case in cases)
        wrong = [case for case in cases if is_wrong(case)]
        rows.append([*key, len(cases), *_lights(cases), refused, *_lights(wrong)])
    return markdown_table(header, rows) if rows else ""


_COLOURS = {OK: "green", WARNING: "yellow", ERROR: "red"}


def _lights(cases: Sequence[CaseResult]) -> list[int]:
    return [sum(case.level == level for case in cases) for level in _COLOURS]


def _whole(cases: Sequence[CaseResult], share: Callable[[CaseResult], float | None]) -> str:
    """Share of the planned cases with the whole anatomy inside."""
    known = [value for value in map(share, cases) if value is not None]
    return f"{np.mean([value >= 1 for value in known]):.0%}" if known else NOTHING


def _spread(values: Iterable[float]) -> str:
    summary = summarize(values)
    return f"{summary.median:.1f} ({summary.p95:.1f})" if summary.count else NOTHING
