"""The checks of a plan, in the order in which they are reported."""

from __future__ import annotations

from collections.abc import Sequence

from ...anatomy.landmark import MISSING
from ..risk.finding import risk_in_words, where_to_look
from . import anatomy_checks, baseline_checks, geometry_checks, landmark_checks
from .check import ERROR, OK, WARNING, Check, level_above
from .evidence import Evidence
from .limb_checks import body_part_check, side_check
from .scout_checks import scout_checks

#: Checks whose warnings the stated risk replaces: it weighs what they look at, together. Their errors stay: what is
#: beyond those limits is no plan of this anatomy.
COVERED_BY_RISK = ("anatomy", "shape", "tilt")


def run_checks(evidence: Evidence) -> tuple[Check, ...]:
    """All findings, worst first; a single "ok" when there is none."""
    if evidence.follow_up and evidence.follow_up.matched:
        return _follow_up_checks(evidence)
    # The faces at risk come first among the warnings: they are what the user can mend at once.
    at_risk = geometry_checks.coverage(evidence)
    findings = [*([at_risk] if at_risk else []), *scout_checks(evidence.stacks, states_risk=evidence.risk is not None)]
    for check in _IN_ORDER:
        finding = check(evidence)
        if finding and not (evidence.risk and is_covered_by_risk(finding)):
            findings.append(finding)
    if not findings:
        count = sum(landmark.status != MISSING for landmark in evidence.landmarks)
        level = evidence.stated_coverage.level
        text = f"{count} landmarks agree and every face is covered ({level}); the plan is ready for review."
        if evidence.risk:
            text = f"{text} {risk_in_words(evidence.risk.probability)}."
        findings = [Check("ready", OK, text)]
    return _worst_first(findings)


def is_covered_by_risk(finding: Check) -> bool:
    """Whether the stated risk makes the finding superfluous."""
    return finding.level == WARNING and finding.name in COVERED_BY_RISK


def _follow_up_checks(evidence: Evidence) -> tuple[Check, ...]:
    """Findings about a plan whose box is the baseline's: it does not rest on the landmarks of this visit."""
    findings = [finding for check in _OF_A_FOLLOW_UP if (finding := check(evidence))]
    findings += scout_checks(evidence.stacks, states_risk=True)
    if not findings and evidence.follow_up:
        text = f"The box is the baseline's; it lies {evidence.follow_up.in_words}. The plan is ready for review."
        findings = [Check("ready", OK, text)]
    return _worst_first(findings)


def _worst_first(findings: Sequence[Check]) -> tuple[Check, ...]:
    return tuple(sorted(findings, key=lambda finding: (ERROR, WARNING, OK).index(finding.level)))


def _risk(e: Evidence) -> Check | None:
    """Is the plan likely enough to be right?"""
    if e.risk is None:
        return None
    level = level_above(e.risk.probability, (e.risk.warning, e.risk.error))
    if level is None:
        return None
    where = where_to_look(e.frame, e.protocol, {stack.plane for stack in e.stacks})
    return Check("risk", level, f"{risk_in_words(e.risk.probability)}: {where}.")


def _side(e: Evidence) -> Check | None:
    return side_check(e.stacks, e.frame, e.protocol, e.rule)


def _body_part(e: Evidence) -> Check | None:
    return body_part_check(e.stacks, e.protocol)


_IN_ORDER = (
    baseline_checks.not_matched,
    anatomy_checks.other_anatomy,
    anatomy_checks.unsure_anatomy,
    _body_part,
    landmark_checks.placed,  # before what it causes: one wrong correction makes all others look wrong
    _risk,
    anatomy_checks.recognised,
    anatomy_checks.shape,
    landmark_checks.found,
    landmark_checks.confidence,
    landmark_checks.outliers,
    landmark_checks.moved,
    landmark_checks.planes_agree,
    geometry_checks.size,
    _side,
    geometry_checks.bent,
    geometry_checks.tilt,
    geometry_checks.obliquity,
    geometry_checks.faces,
    geometry_checks.cut_off,
)

_OF_A_FOLLOW_UP = (
    anatomy_checks.other_anatomy,
    anatomy_checks.unsure_anatomy,
    anatomy_checks.recognised,
    landmark_checks.moved,
    baseline_checks.certain,
    baseline_checks.agrees,
)
