"""The results of an evaluation as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK

from ..reference_heads.brain_extremes import NORMAL_AXIS
from .case_log import CaseResult
from .errors.tables import Group, joint_table, light_table, slice_table
from .metrics import SUCCESS_RADII_MM, Summary, markdown_table, success_rates, summarize

#: A plan that is rotated or shifted by more than this must be flagged.
WRONG_ROTATION_DEG, WRONG_CENTER_MM = 5.0, 10.0

#: Cell of what was not measured.
NOTHING = "-"


def report(results: Sequence[CaseResult]) -> str:
    """All tables: box, slices, joint, landmarks, faces, checks, lights, times, single heads, single landmarks.

    Rows are geometry x method in the order in which they come in ``results``.
    """
    groups = _grouped(results, lambda case: (case.geometry, case.method))
    sections = (
        ("Box", _box_table(groups)),
        ("Slices: planned against true ones, and cases with the whole anatomy inside the box", slice_table(groups)),
        ("Joint: angle found minus true, and side of the body", joint_table(groups)),
        ("Landmarks", _landmark_table(groups)),
        ("Faces: size of the error along the true normal, median (p95), and its signed mean, mm", _face_table(groups)),
        (f"Checks: wrong means > {WRONG_ROTATION_DEG:g} deg or > {WRONG_CENTER_MM:g} mm", _check_table(groups)),
        ("Lights", light_table(groups, is_wrong)),
        ("Mean time per step, s", _time_table(groups)),
        ("Single cases", _head_table(results)),
        ("In-plane error of single landmarks: median (p95), mm; number of slices", _name_table(results)),
    )
    return "\n\n".join(f"## {title}\n\n{table}" for title, table in sections if table) + "\n"


def is_wrong(case: CaseResult) -> bool:
    """Whether the plan is too far off to be used; a refusal to plan is not wrong."""
    return case.box is not None and (case.box.rotation_deg > WRONG_ROTATION_DEG or case.box.center_mm > WRONG_CENTER_MM)


def _grouped(results: Iterable[CaseResult], key: Callable[[CaseResult], tuple[str, ...]]) -> list[Group]:
    groups: dict[tuple[str, ...], list[CaseResult]] = {}
    for case in results:
        groups.setdefault(key(case), []).append(case)
    return list(groups.items())


def _box_table(groups: Sequence[Group]) -> str:
    header = [
        "scouts", "method", "n", "failed", "rotation mean (p95) deg", "frame pitch med (p95)", "roll med (p95)",
        "yaw med (p95)", "pitch to AC-PC med (p95), mean", "centre med, mean (p95) mm", "IoU mean",
        "anatomy inside mean (min)",
    ]  # fmt: skip
    rows = []
    for key, cases in groups:
        planned = [case for case in cases if case.box]
        boxes = [case.box for case in cases if case.box]
        rotation = summarize(box.rotation_deg for box in boxes)
        center = summarize(box.center_mm for box in boxes)
        covered = [case.covered for case in planned if case.covered is not None]
        angles = [summarize(abs(case.frame_angles_deg[axis]) for case in planned) for axis in range(3)]
        acpc = [case.acpc_pitch_deg for case in planned if case.acpc_pitch_deg is not None]
        rows.append([
            *key, len(cases), len(cases) - len(planned), f"{rotation.mean:.1f} ({rotation.p95:.1f})",
            *(f"{angle.median:.1f} ({angle.p95:.1f})" for angle in angles),
            f"{_spread(map(abs, acpc))}, {summarize(acpc).mean:+.1f}" if acpc else NOTHING,
            f"{center.median:.1f}, {center.mean:.1f} ({center.p95:.1f})",
            f"{summarize(box.iou for box in boxes).mean:.3f}",
            f"{np.mean(covered):.3f} ({min(covered):.3f})" if covered else NOTHING,
        ])  # fmt: skip
    return _without_empty_columns(header, rows)


def _landmark_table(groups: Sequence[Group]) -> str:
    header = [
        "scouts", "method", "in-plane med (p95) mm", *(f"within {radius:g} mm" for radius in SUCCESS_RADII_MM),
        "points 3D med (p95) mm", "extremes along normal med (p95) mm", "not found", "AC, PC after fit med (p95) mm",
    ]  # fmt: skip
    rows = []
    for key, cases in groups:
        in_plane = [error for case in cases for errors in _in_plane(case) for error in errors]
        found_mm = [error for error in in_plane if error is not None]
        rates = success_rates(found_mm, len(in_plane))
        points = [_spread(_errors(cases, extremes)) for extremes in (False, True)]
        missing, found = (sum(len(getattr(c, field)) for c in cases) for field in ("missing", "landmarks_mm"))
        fitted = [_spread(case.expected_mm.get(name) for case in cases) for name in ("AC", "PC")]
        rows.append([
            *key, _spread(found_mm), *(f"{rate:.0%}" if in_plane else "-" for rate in rates.values()), *points,
            f"{missing / max(1, missing + found):.0%}", ", ".join(fitted) if set(fitted) != {NOTHING} else NOTHING,
        ])  # fmt: skip
    return _without_empty_columns(header, rows)


def _without_empty_columns(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The table without what no row has: AC and PC, and the surface inside the box, are known of heads only."""
    kept = [i for i in range(len(header)) if not rows or any(row[i] != NOTHING for row in rows)]
    return markdown_table([header[i] for i in kept], [[row[i] for i in kept] for row in rows])


def _face_table(groups: Sequence[Group]) -> str:
    rows = []
    for key, cases in groups:
        errors = np.array([case.box.faces_mm for case in cases if case.box]).reshape(-1, len(FACES))
        rows.append([*key, *(f"{_spread(np.abs(face))} {summarize(face).mean:+.1f}" for face in errors.T)])
    return markdown_table(["scouts", "method", *FACES], rows)


def _check_table(groups: Sequence[Group]) -> str:
    header = [
        "scouts", "method", "n", "wrong", "wrong and flagged", "wrong, called error", "missed",
        "right but flagged", "right but called error", "refused",
    ]  # fmt: skip
    rows = []
    for key, cases in groups:
        judged = [case for case in cases if case.level is not None]
        refused = sum(case.failure is not None for case in cases)
        if not judged:
            continue
        wrong = [case for case in judged if is_wrong(case)]
        right = [case for case in judged if not is_wrong(case)]
        rows.append([
            *key, len(cases), len(wrong), _count(wrong, flagged=True), _count(wrong, called=ERROR),
            _count(wrong, called=OK), _count(right, flagged=True), _count(right, called=ERROR), refused,
        ])  # fmt: skip
    return markdown_table(header, rows) if rows else ""


def _count(cases: Sequence[CaseResult], called: str | None = None, flagged: bool = False) -> int:
    return sum(case.level != OK if flagged else case.level == called for case in cases)


def _time_table(groups: Sequence[Group]) -> str:
    steps = list(dict.fromkeys(step for _, cases in groups for case in cases for step in case.timings_s))
    rows = [
        [*key, *(f"{summarize(case.timings_s.get(step) for case in cases).mean:.3f}" for step in steps)]
        for key, cases in groups
    ]
    return markdown_table(["scouts", "method", *steps], rows) if steps else ""


def _head_table(results: Sequence[CaseResult]) -> str:
    header = [
        "case", "method", "n", "rotation mean (max) deg", "pitch, roll, yaw mean, signed", "centre mean (max) mm",
        "IoU mean", "anatomy inside min", "largest face error mm", "points 3D med (p95) mm",
    ]  # fmt: skip
    rows = []
    groups = _grouped(results, lambda case: (case.head, case.method))
    for key, cases in sorted(groups, key=lambda group: group[0][::-1]):
        boxes = [case.box for case in cases if case.box]
        if not boxes:
            rows.append([*key, len(cases), *["failed"] * (len(header) - 3)])
            continue
        rotation, center = ([getattr(box, name) for box in boxes] for name in ("rotation_deg", "center_mm"))
        angles = np.mean([case.frame_angles_deg for case in cases if case.box], axis=0)
        covered = [case.covered for case in cases if case.covered is not None]
        rows.append([
            *key, len(cases), f"{np.mean(rotation):.1f} ({max(rotation):.1f})",
            " ".join(f"{angle:+.1f}" for angle in angles), f"{np.mean(center):.1f} ({max(center):.1f})",
            f"{np.mean([box.iou for box in boxes]):.3f}", f"{min(covered):.3f}" if covered else NOTHING,
            f"{max(np.abs(box.faces_mm).max() for box in boxes):.1f}",
            _spread(_errors(cases, extremes=False)),
        ])  # fmt: skip
    return markdown_table(header, rows)


def _name_table(results: Sequence[CaseResult]) -> str:
    errors: dict[tuple[str, str], dict[str, list[float | None]]] = {}
    for case in results:
        for plane, names in case.in_plane_mm.items():
            for name, values in names.items():
                errors.setdefault((name, case.method), {}).setdefault(plane, []).extend(values)
    if not errors:
        return ""
    rows = []
    for (name, method), planes in sorted(errors.items(), key=lambda item: item[0][::-1]):
        cells = [f"{_spread(planes[p])}; {len(planes[p])}" if p in planes else "-" for p in PLANES]
        rows.append([name, method, *cells])
    return markdown_table(["landmark", "method", *PLANES], rows)


def _in_plane(case: CaseResult) -> list[Sequence[float | None]]:
    return [errors for names in case.in_plane_mm.values() for errors in names.values()]


def _errors(cases: Iterable[CaseResult], extremes: bool) -> list[float]:
    return [error for case in cases for name, error in case.landmarks_mm.items() if (name in NORMAL_AXIS) == extremes]


def _spread(values: Iterable[float | None]) -> str:
    summary = summarize(values)
    return f"{summary.median:.1f} ({summary.p95:.1f})" if summary.count else NOTHING


def measured_errors(results: Sequence[CaseResult], method: str) -> dict[str, Any]:
    """Scouts (P5: five slices per plane) -> median and 95th percentile of the method's errors."""
    geometries = dict.fromkeys(case.geometry for case in results)
    return {
        name: _case_errors([c for c in results if c.method == method and c.geometry == name]) for name in geometries
    }


def _case_errors(cases: Sequence[CaseResult]) -> dict[str, Any]:
    planned = [case for case in cases if case.box]
    boxes = [case.box for case in cases if case.box]
    in_plane = [e for c in planned for plane in c.in_plane_mm.values() for errors in plane.values() for e in errors]
    covered = [case.covered for case in planned if case.covered is not None]
    in_space = [e for case in planned for name, e in case.landmarks_mm.items() if name not in NORMAL_AXIS]
    return {
        "heads": len({case.head for case in cases}),
        "cases": len(cases),
        "refused": len(cases) - len(planned),
        "landmark_in_plane_mm": _rounded(summarize(e for e in in_plane if e is not None)),
        "landmark_3d_mm": _rounded(summarize(in_space)),
        "rotation_deg": _rounded(summarize(box.rotation_deg for box in boxes)),
        "center_mm": _rounded(summarize(box.center_mm for box in boxes)),
        **({"brain_inside_smallest": round(min(covered), 4)} if covered else {}),
        **_slice_errors(planned),
        "wrong": sum(map(is_wrong, planned)),
        "wrong_and_not_flagged": sum(is_wrong(case) and case.level == "ok" for case in planned),
    }


def _slice_errors(planned: Sequence[CaseResult]) -> dict[str, Any]:
    """Angles of the slices, where they are known, and what is known of a joint."""
    angled = [case.slice_angles_deg for case in planned if len(case.slice_angles_deg)]
    joint = [abs(error) for case in planned for error in case.joint_deg.values()]
    sides = [case.side_right for case in planned if case.side_right is not None]
    result: dict[str, Any] = {}
    if angled:
        result["slice_normal_deg"] = _rounded(summarize(angles[0] for angles in angled))
        result["slice_in_plane_deg"] = _rounded(summarize(angles[1] for angles in angled))
    if joint:
        result["joint_angle_deg"] = _rounded(summarize(joint))
    if sides:
        result["wrong_side"] = sides.count(False)
    return result


def _rounded(values: Summary) -> dict[str, float | None]:
    """None where every case was refused."""
    stated = {"median": values.median, "p95": values.p95, "mean": values.mean}
    return {name: round(value, 2) if values.count else None for name, value in stated.items()}
