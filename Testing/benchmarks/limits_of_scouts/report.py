"""The results as Markdown: one table of errors, a row for each condition, and one of what must be flagged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.evaluation.case_measures import in_plane_errors
from LandmarkTrainingLib.core.evaluation.evaluation_report import WRONG_CENTER_MM, WRONG_ROTATION_DEG, is_wrong
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table, summarize
from LandmarkTrainingLib.core.reference_heads.brain_extremes import NORMAL_AXIS
from LandmarkTrainingLib.core.reference_heads.heads import Head

from .conditions import Condition

#: A box that holds so much of the brain's surface holds the brain.
WHOLE = 0.99

#: Marks conditions under which the checks are right to find something.
TOLD = "†"

Results = Mapping[str, Sequence[CaseResult]]

_HEADER = (
    "condition", "cases", "refused", "in-plane mm", "3D mm", "not found", "pitch deg", "roll deg", "yaw deg",
    "centre mm", *FACES, "brain inside", f">= {WHOLE:.0%} inside", "wrong", "wrong, not flagged",
    "right, flagged (error)", "s",
)  # fmt: skip

_NOTES = f"""
Median (95th percentile). Faces: median size of the error and its signed mean, mm, positive where the box is too large.
Brain inside: mean (least) share of the points on the brain's surface that lie in the box. Wrong: turned by more than
{WRONG_ROTATION_DEG:g} deg or moved by more than {WRONG_CENTER_MM:g} mm; not flagged: no check found anything. Of the
right plans those are counted about which a check found something, in brackets those called an error.
{TOLD}: a finding is right, for something is missing in the scouts or moved, or they cut the head far askew. In-plane
errors of heads that were turned in the scanner are not measured. Label maps are painted: no real heads.
s: seconds of planning.
""".strip()


def report(
    title: str, conditions: Sequence[Condition], results: Results, heads: Sequence[Head], flagged: Results
) -> str:
    """All of it.

    Args:
        conditions: in the order of the rows.
        results: condition's name -> its cases; conditions without cases are left out.
        heads: the real ones, whose contrasts the first condition is split by.
        flagged: name -> the cases that had to be flagged.
    """
    parts = [f"# {title}"]
    rows = list(_rows(conditions, results, heads))
    if rows:
        parts += ["## Heads", markdown_table(_HEADER, rows), _NOTES]
    inputs = [[name, *_counts(cases)] for name, cases in flagged.items() if cases]
    if inputs:
        header = ("must be flagged", "cases", "refused", "called error", "only a warning", "not flagged")
        parts += ["## No heads", markdown_table(header, inputs), *_not_called_errors(flagged)]
    return "\n\n".join(parts) + "\n"


def _rows(conditions: Sequence[Condition], results: Results, heads: Sequence[Head]) -> Iterable[list[str]]:
    contrasts = {head.id: re.split(r"\W", head.contrast)[0] for head in heads}
    for number, condition in enumerate(conditions):
        cases = results.get(condition.name)
        if not cases:
            continue
        yield [condition.name + TOLD * condition.told, *_numbers(cases)]
        kinds = sorted({contrasts[case.head] for case in cases if case.head in contrasts})
        if number == 0 and len(kinds) > 1:
            for kind in kinds:
                yield [f"- {kind} heads", *_numbers([case for case in cases if contrasts.get(case.head) == kind])]


def _numbers(cases: Sequence[CaseResult]) -> list[str]:
    planned = [case for case in cases if case.box]
    seen = [error for case in planned for error in in_plane_errors(case) if error is not None]
    in_space = [e for case in planned for name, e in case.landmarks_mm.items() if name not in NORMAL_AXIS]
    missing, found = (sum(len(getattr(case, name)) for case in planned) for name in ("missing", "landmarks_mm"))
    angles = np.abs([case.frame_angles_deg for case in planned]).reshape(-1, 3).T
    faces = np.array([case.box.faces_mm for case in planned]).reshape(-1, len(FACES)).T
    covered = [case.covered for case in planned if case.covered is not None]
    wrong, right = [c for c in planned if is_wrong(c)], [c for c in planned if not is_wrong(c)]
    errors = sum(case.level == ERROR for case in right)
    return [
        str(len(cases)),
        str(len(cases) - len(planned)),
        _spread(seen),
        _spread(in_space),
        f"{missing / (missing + found):.0%}" if missing + found else "-",
        *map(_spread, angles),
        _spread(case.box.center_mm for case in planned),
        *(f"{summarize(np.abs(face)).median:.1f} {summarize(face).mean:+.1f}" if planned else "-" for face in faces),
        f"{np.mean(covered):.3f} ({min(covered):.3f})" if covered else "-",
        f"{np.mean(np.array(covered) >= WHOLE):.0%}" if covered else "-",
        str(len(wrong)),
        str(sum(case.level == OK for case in wrong)),
        f"{sum(case.level in (WARNING, ERROR) for case in right)} ({errors})",
        f"{summarize(case.timings_s.get('total') for case in planned).median:.2f}",
    ]


def _counts(cases: Sequence[CaseResult]) -> list[int]:
    """Cases, refused, and planned with an error, only a warning, nothing."""
    levels = [case.level for case in cases]
    return [len(cases), sum(bool(case.failure) for case in cases), *map(levels.count, (ERROR, WARNING, OK))]


def _not_called_errors(flagged: Results) -> list[str]:
    soft = [case for cases in flagged.values() for case in cases if case.level in (WARNING, OK)]
    lines = [f"- {case.geometry}: {case.head}: {', '.join(case.findings) or 'no finding'}" for case in soft]
    return ["Planned without being called an error:\n\n" + "\n".join(lines)] if lines else []


def _spread(values: Iterable[float]) -> str:
    summary = summarize(values)
    return f"{summary.median:.1f} ({summary.p95:.1f})" if summary.count else "-"
