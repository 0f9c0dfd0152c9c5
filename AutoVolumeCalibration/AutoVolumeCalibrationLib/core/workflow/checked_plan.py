"""The findings about a plan as it is, and plans of which one part is replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..anatomy.box_side import on_side
from ..anatomy.landmark import PREDICTED
from ..anatomy.protocol import BoxRule, box_rule
from ..detection.model_info import ModelInfo
from ..follow_up.follow_up import FollowUp, between_boxes
from ..planning.checks.check import OK, WARNING, Check
from ..planning.checks.evidence import Evidence
from ..planning.checks.plan_checks import run_checks
from ..planning.face_uncertainty import Coverage, coverage_of
from ..planning.prescription import prescribe
from ..planning.risk.features import plan_features
from ..planning.risk.finding import PlanRisk
from ..scouts.stack import ScoutStack
from .calibration import Calibration

if TYPE_CHECKING:
    from ..geometry.oriented_box import OrientedBox


def with_box(calibration: Calibration, box: OrientedBox) -> Calibration:
    """The plan with ``box`` as the user drew it: prescribed and checked as it is, until the next fit plans it anew.

    It is the box of a baseline no longer.
    """
    rule = box_rule(calibration.protocol, box.name)
    return checked(replace(calibration, box=box, prescription=prescribe(box, rule), follow_up=None))


def with_other_anatomy(calibration: Calibration, anatomy: str) -> Calibration:
    """The plan, checked with the knowledge that the scouts look like another ``anatomy``; empty: they do not.

    A plan without a model stays as it is.
    """
    model = calibration.model
    if model is None or model.other_anatomy == anatomy:
        return calibration
    return checked(replace(calibration, model=replace(model, other_anatomy=anatomy)))


def with_automatic(calibration: Calibration, automatic: bool = True, unsure: bool = False) -> Calibration:
    """The plan with the knowledge whether its protocol was taken because of what the scouts show, surely or not.

    A plan without a model stays as it is: nothing looked at the scouts.
    """
    model = calibration.model
    if model is None:
        return calibration
    known = replace(calibration, model=replace(model, automatic=automatic, unsure_anatomy=unsure))
    return known if unsure == model.unsure_anatomy else checked(known)


def with_follow_up(calibration: Calibration, follow_up: FollowUp | None) -> Calibration:
    """The plan by landmarks with the box of its baseline instead; as it is without one, or where nothing matches."""
    if follow_up is None:
        return calibration
    rule = box_rule(calibration.protocol, calibration.box.name)
    rotation_deg, shift_mm = between_boxes(calibration.box, follow_up.box)
    # How well the border of the anatomy is known at each face is what this visit's landmarks say.
    placed = replace(follow_up.box, name=rule.name, face_sd_mm=calibration.box.face_sd_mm)
    box = placed if follow_up.matched else calibration.box
    compared = replace(follow_up, rotation_deg=rotation_deg, shift_mm=shift_mm)
    return checked(replace(calibration, box=box, prescription=prescribe(box, rule), follow_up=compared))


def checked(calibration: Calibration) -> Calibration:
    """The plan with the findings about it as it is."""
    c = calibration
    rule = box_rule(c.protocol, c.box.name)
    still_predicted = {landmark.name for landmark in c.landmarks if landmark.status == PREDICTED}
    in_doubt = [name for name in c.disagreeing if name in still_predicted]
    # The risk is that of a plan by landmarks.
    risk = None if c.follow_up and c.follow_up.matched else _plan_risk(c)
    evidence = Evidence(
        stacks=c.stacks,
        landmarks=c.landmarks,
        disagreeing=in_doubt,
        frame=c.frame,
        box=c.box,
        protocol=c.protocol,
        rule=on_side(rule, c.frame.side, c.protocol.constellation),
        coverage=coverage_under(rule, c.model),
        motion=c.motion,
        limits=c.limits,
        risk=risk,
        other_anatomy=c.model.other_anatomy if c.model else "",
        follow_up=c.follow_up,
        unsure_anatomy=c.model is not None and c.model.unsure_anatomy,
    )
    return replace(c, risk=risk, checks=_with_remarks(run_checks(evidence), c.stacks))


def _plan_risk(calibration: Calibration) -> PlanRisk | None:
    """The risk of the plan with the landmarks that hold now; None where the model states none."""
    c, model = calibration, calibration.model.risk if calibration.model else None
    if model is None:
        return None
    covariance = c.model.pose_covariance if c.model else None
    features = plan_features(c.landmarks, c.frame, c.stacks, c.birge_ratios, c.protocol, covariance)
    return PlanRisk(model.probability(features), model.warning, model.error)


def coverage_under(rule: BoxRule, model: ModelInfo | None) -> Coverage:
    """The coverage of boxes by ``rule``, as measured with ``model``; that of a normal distribution without one."""
    return coverage_of(rule, model.coverage if model else ())


def _with_remarks(checks: Sequence[Check], stacks: Sequence[ScoutStack]) -> tuple[Check, ...]:
    """The checks, and a warning for each remark on the scouts, such as that they are interpolated."""
    remarks = dict.fromkeys(stack.remark for stack in stacks if stack.remark)
    if not remarks:
        return tuple(checks)
    findings = [check for check in checks if check.level != OK]
    return (*findings, *(Check("scouts", WARNING, remark) for remark in remarks))
