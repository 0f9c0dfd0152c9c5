"""The worst planned case of each kind, planned again and drawn as ``autovolume calibrate`` draws a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.report.overview import draw_overview
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.workflow.calibration import Calibration
from LandmarkTrainingLib.core.evaluation.case_log import CaseResult
from LandmarkTrainingLib.core.evaluation.evaluation_report import WRONG_CENTER_MM, WRONG_ROTATION_DEG
from LandmarkTrainingLib.core.reference_heads.heads import Head

from .cases import ScannedHead
from .conditions import Condition
from .report import Results

Replan = Callable[[Sequence[ScoutStack]], Calibration]


def badness(case: CaseResult) -> float:
    """How far a plan is off, 1 where it just is wrong; of what is no head how little it was flagged.

    A refusal is never bad: -1.
    """
    if case.box is not None:
        return max(case.box.rotation_deg / WRONG_ROTATION_DEG, case.box.center_mm / WRONG_CENTER_MM)
    return (ERROR, WARNING, OK).index(case.level) if case.failure is None and case.level else -1.0


def worst_by_kind(conditions: Sequence[Condition], results: Results) -> dict[str, tuple[Condition, CaseResult]]:
    """Kind -> its worst planned case; kinds of which nothing was planned are left out."""
    worst: dict[str, tuple[Condition, CaseResult]] = {}
    for condition in conditions:
        for case in results.get(condition.name, ()):
            if badness(case) >= 0 and (
                condition.kind not in worst or badness(case) > badness(worst[condition.kind][1])
            ):
                worst[condition.kind] = condition, case
    return worst


def draw_worst(
    worst: Mapping[str, tuple[Condition, CaseResult]],
    heads: Mapping[str | None, Sequence[Head]],
    protocol: Protocol,
    replan: Replan,
    folder: Path,
) -> str:
    """Draw ``worst_<kind>.png`` of each, and say in Markdown what they show; heads not given are left out."""
    lines = []
    for kind, (condition, case) in worst.items():
        head = next((head for head in heads.get(condition.contrast, ()) if head.id == case.head), None)
        if head is None:
            continue
        stacks, _ = ScannedHead(head, protocol).case(condition, case.pose)
        draw_overview(replan(stacks), folder / f"worst_{kind}.png")
        lines.append(f"**{kind}**: {_told(case)}\n\n![{kind}](worst_{kind}.png)")
    return "\n\n".join(["## The worst planned case of each kind", *lines]) + "\n" if lines else ""


def draw_least_flagged(flagged: Results, inputs: Mapping[str, Callable], replan: Replan, folder: Path) -> str:
    """The same of what is no head and was planned: the least flagged, ``worst_no_head.png``."""
    planned = [case for cases in flagged.values() for case in cases if badness(case) >= 0]
    case = max(planned, key=badness, default=None)
    read = dict(inputs[case.geometry]()).get(case.head) if case else None
    if read is None:
        return ""
    draw_overview(replan(read()), folder / "worst_no_head.png")
    findings = f"level {case.level}: {', '.join(case.findings) or 'no finding'}"
    return f"**no head, least flagged**: {case.geometry}, {case.head}; {findings}\n\n![no head](worst_no_head.png)\n"


def _told(case: CaseResult) -> str:
    where = f"{case.geometry}, {case.head}, pose {case.pose}"
    findings = f"level {case.level}{': ' if case.findings else ''}{', '.join(case.findings)}"
    return f"{where}; turned by {case.box.rotation_deg:.1f} deg, centre off by {case.box.center_mm:.1f} mm; {findings}"
