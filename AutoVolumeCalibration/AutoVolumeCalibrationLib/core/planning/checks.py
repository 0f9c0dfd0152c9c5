"""Checks of the scouts and the plan: may the plan be trusted, and if not, what should the user do.

Each check is a small function that returns at most one finding; without any there is a single ``OK``.
Limits of what the model shows are the model's own (``detection.model_limits``); those here are of the geometry of
scouts and heads, and of how well a plan must be known.
Levels: a warning asks the user to review something, an error says that the plan must not be used unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..anatomy.landmark import CORRECTED, MISSING, PREDICTED, Landmark
from ..anatomy.protocol import BoxRule, Protocol
from ..detection.model_limits import ModelLimits
from ..errors import shortened
from ..follow_up.follow_up import CERTAIN_DEG, CERTAIN_MM, LARGEST_CHI_SQUARE, FollowUp
from ..geometry.coordinates import PLANES
from ..geometry.oriented_box import FACES, OrientedBox, outward_axis
from ..motion.motion import Motion, motion_message
from ..scouts.stack import ScoutStack
from .box import TRUSTED_SD_MM
from .check import ERROR, OK, WARNING, Check
from .face_uncertainty import Coverage, coverage_of
from .frame import AnatomicalFrame
from .limb_checks import body_part_check, side_check
from .margins import faces_at_risk
from .risk.finding import PlanRisk, risk_in_words, where_to_look

#: Head size over the reference's: outside the first range unusual, outside the second not a head.
USUAL_SCALE, POSSIBLE_SCALE = (0.82, 1.18), (0.65, 1.35)

#: Standard deviation of the rotation (largest of pitch, roll, yaw), degrees, and of a box face, mm.
TILT_SD_DEG = (2.5, 5.0)
FACE_SD_MM = (TRUSTED_SD_MM, 10.0)

#: A joint that is turned farther than this against its neutral pose, degrees: beyond what models are trained on, and
#: beyond what can be.
BENT_DEG = (25.0, 45.0)

#: A standard deviation above these says only that the value is not determined; the number would mean nothing.
UNDETERMINED_DEG, UNDETERMINED_MM = 45.0, 100.0

#: A stack shows a direction in its plane when the component of its normal along it is smaller than this.
ACROSS = 0.7

#: In an image of anatomy neighbouring pixels are similar: the means of blocks of this many pixels a side vary nearly
#: as much as the pixels do. In noise they vary less, by at least this factor.
EMPTY_BLOCK, EMPTY_RATIO = 4, 0.5

#: Every second pixel suffices for that, and a refit while the user drags a point must be fast.
EMPTY_STEP = 2

#: Checks whose warnings the stated risk replaces: it weighs what they look at, together. Their errors stay: what is
#: beyond those limits is no plan of this anatomy.
COVERED_BY_RISK = ("anatomy", "shape", "tilt")

#: A placed point counts as far off beyond this many mm plus this many standard deviations of its position in heads.
PLACED_SLACK_MM, PLACED_SPREADS = 2.0, 3.0


__all__ = ["ERROR", "OK", "WARNING", "Check", "Evidence", "is_covered_by_risk", "run_checks", "scout_checks"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """The input of the checks.

    ``coverage`` None: the textbook factors of a normal distribution. ``risk`` None: the model states none.
    ``other_anatomy``: what the model of another anatomy recognised more surely, empty where there is none.
    ``follow_up``: how the box of a baseline was placed, None for a plan by landmarks. ``unsure_anatomy``: nobody named
    the anatomy, and no model is sure of the scouts.
    """

    stacks: Sequence[ScoutStack]
    landmarks: Sequence[Landmark]
    disagreeing: Sequence[str]
    frame: AnatomicalFrame
    box: OrientedBox
    protocol: Protocol
    rule: BoxRule
    coverage: Coverage | None = None
    motion: Motion | None = None
    limits: ModelLimits = ModelLimits()
    risk: PlanRisk | None = None
    other_anatomy: str = ""
    follow_up: FollowUp | None = None
    unsure_anatomy: bool = False

    @property
    def stated_coverage(self) -> Coverage:
        """The coverage factors of the box."""
        return self.coverage or coverage_of(self.rule, ())


def run_checks(evidence: Evidence) -> tuple[Check, ...]:
    """All findings, worst first; a single "ok" when there is none."""
    if evidence.follow_up and evidence.follow_up.matched:
        return _follow_up_checks(evidence)
    # The faces at risk come first among the warnings: they are what the user can mend at once.
    at_risk = _coverage(evidence)
    findings = [*([at_risk] if at_risk else []), *scout_checks(evidence.stacks, states_risk=evidence.risk is not None)]
    of_landmarks = (
        _not_matched,
        _other_anatomy,
        _unsure_anatomy,
        _body_part,
        _placed,  # before what it causes: one wrong correction makes all others look wrong
        _risk,
        _head,
        _shape,
        _found,
        _confidence,
        _outliers,
        _moved,
        _planes_agree,
    )
    for check in (*of_landmarks, _size, _side, _bent, _tilt, _obliquity, _faces, _cut_off):
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


def _follow_up_checks(evidence: Evidence) -> tuple[Check, ...]:
    """Findings about a plan whose box is the baseline's: it does not rest on the landmarks of this visit."""
    checks = (_other_anatomy, _unsure_anatomy, _head, _moved, _baseline_certain, _baseline_agrees)
    findings = [finding for check in checks if (finding := check(evidence))]
    findings += scout_checks(evidence.stacks, states_risk=True)
    if not findings and evidence.follow_up:
        text = f"The box is the baseline's; it lies {evidence.follow_up.in_words}. The plan is ready for review."
        findings = [Check("ready", OK, text)]
    return _worst_first(findings)


def _worst_first(findings: Sequence[Check]) -> tuple[Check, ...]:
    return tuple(sorted(findings, key=lambda finding: (ERROR, WARNING, OK).index(finding.level)))


def is_covered_by_risk(finding: Check) -> bool:
    """Whether the stated risk makes the finding superfluous."""
    return finding.level == WARNING and finding.name in COVERED_BY_RISK


def scout_checks(stacks: Sequence[ScoutStack], *, states_risk: bool = False) -> list[Check]:
    """Findings about the images alone: planes missing, planes without signal, too few slices.

    A model of an earlier version does not state the risk of a plan (``states_risk``): there a single slice in a plane
    is a warning by itself, whatever the slice shows.
    """
    findings = []
    present = {stack.plane for stack in stacks}
    absent = [plane for plane in PLANES if plane not in present]
    if absent:
        findings.append(Check("planes", WARNING, f"No {' or '.join(absent)} scout: the plan rests on two planes."))
    empty = sorted({stack.plane for stack in stacks if all(_is_empty(s.pixels) for s in stack.slices)})
    if empty:
        findings.append(
            Check("empty plane", ERROR, f"The {', '.join(empty)} scout shows no anatomy: acquire it again.")
        )
    single = [plane for plane in PLANES if sum(len(s.slices) for s in stacks if s.plane == plane) == 1]
    if single and not states_risk:
        where = f"Only one slice in the {', '.join(single)} plane"
        findings.append(Check("slices", WARNING, f"{where}: check the tilt, or acquire three or more per plane."))
    return findings


def _is_empty(pixels: np.ndarray) -> bool:
    """No structure: the pixels are constant, or vary independently of their neighbours."""
    pixels = np.asarray(pixels, dtype=float)[::EMPTY_STEP, ::EMPTY_STEP]
    spread = float(pixels.std())
    if spread <= 1e-6 * max(1.0, float(np.abs(pixels).max())):
        return True
    rows, columns = (n // EMPTY_BLOCK * EMPTY_BLOCK for n in pixels.shape)
    if not rows or not columns:
        return False
    blocks = pixels[:rows, :columns].reshape(rows // EMPTY_BLOCK, EMPTY_BLOCK, columns // EMPTY_BLOCK, EMPTY_BLOCK)
    return float(blocks.mean(axis=(1, 3)).std()) < EMPTY_RATIO * spread


def _risk(e: Evidence) -> Check | None:
    """Is the plan likely enough to be right?"""
    if e.risk is None:
        return None
    level = _above(e.risk.probability, (e.risk.warning, e.risk.error))
    if level is None:
        return None
    where = where_to_look(e.frame, e.protocol, {stack.plane for stack in e.stacks})
    return Check("risk", level, f"{risk_in_words(e.risk.probability)}: {where}.")


def _not_matched(e: Evidence) -> Check | None:
    """Do the images show what the baseline's showed?"""
    if e.follow_up is None or e.follow_up.matched:
        return None
    found = f"correlation {e.follow_up.correlation:.2f}"
    return Check(
        "baseline", ERROR, f"The scouts do not match the baseline's ({found}): this plan follows the landmarks alone."
    )


def _baseline_certain(e: Evidence) -> Check | None:
    """Is it known well enough where the box of the baseline lies now?"""
    f = e.follow_up
    if f is None or (f.sd_mm <= CERTAIN_MM and f.sd_deg <= CERTAIN_DEG):
        return None
    return Check(
        "baseline",
        WARNING,
        f"The place of the baseline's box is uncertain (sd {f.sd_deg:.1f} deg, {f.sd_mm:.1f} mm): "
        "add slices, or repeat the contrast.",
    )


def _baseline_agrees(e: Evidence) -> Check | None:
    """Do the images and the landmarks of both visits agree about how the patient lies now?"""
    f = e.follow_up
    if f is None or f.chi_square <= LARGEST_CHI_SQUARE:
        return None
    return Check(
        "baseline",
        WARNING,
        f"Images and landmarks disagree by more than their uncertainty, the box lies {f.in_words}: compare the visits.",
    )


def _other_anatomy(e: Evidence) -> Check | None:
    """Do the scouts show what the protocol is for? Points that the user placed say so, but not that all is well."""
    if not e.other_anatomy:
        return None
    level = WARNING if any(landmark.status == CORRECTED for landmark in e.landmarks) else ERROR
    shown, wanted = e.other_anatomy, e.protocol.anatomy or e.protocol.title
    return Check("other anatomy", level, f"The scouts look like {shown}, not {wanted}: choose the protocol for that.")


def _unsure_anatomy(e: Evidence) -> Check | None:
    """Does anybody know what the scouts show? Who placed points, or named the protocol, does."""
    if not e.unsure_anatomy or any(landmark.status == CORRECTED for landmark in e.landmarks):
        return None
    probable = e.protocol.anatomy or e.protocol.title
    text = f"No model is sure of the anatomy, {probable} is the most probable: check the region, or name the protocol."
    return Check("unsure anatomy", WARNING, text)


def _head(e: Evidence) -> Check | None:
    """Is this a head at all?"""
    if any(landmark.status == CORRECTED for landmark in e.landmarks):
        return None
    best = sorted((landmark.confidence for landmark in e.landmarks if landmark.status == PREDICTED), reverse=True)[:10]
    mean = sum(best) / min(10, len(e.landmarks))
    if mean < e.limits.anatomy_peak:
        return Check(
            "anatomy",
            ERROR,
            f"No {e.protocol.anatomy or 'anatomy'} recognised (mean peak {mean:.2f}): wrong region or empty scouts?",
        )
    if mean < e.limits.clear_peak:
        return Check("anatomy", WARNING, f"The anatomy is hard to recognise (mean peak {mean:.2f}): check every point.")
    return None


def _shape(e: Evidence) -> Check | None:
    """Is the constellation of the points that of a head?"""
    if any(landmark.status == CORRECTED for landmark in e.landmarks) or not e.frame.residuals_mm:
        return None
    typical = float(np.median(list(e.frame.residuals_mm.values())))
    level = _above(typical, e.limits.shape_mm)
    if level:
        anatomy = e.protocol.anatomy or "anatomy"
        return Check(
            "shape", level, f"The points are {typical:.0f} mm off a typical {anatomy}: wrong region, or motion?"
        )
    return None


def _found(e: Evidence) -> Check | None:
    missing = [landmark.name for landmark in e.landmarks if landmark.status == MISSING]
    fraction = 1 - len(missing) / max(1, len(e.landmarks))
    level = _below(fraction, e.limits.found_share)
    if level:
        return Check(
            "landmarks", level, f"Only {fraction:.0%} of the landmarks were found; missing: {shortened(missing)}."
        )
    return None


def _confidence(e: Evidence) -> Check | None:
    """The frame's own landmarks matter most to the user: name those that are doubtful."""
    named = {e.protocol.frame.origin, *e.protocol.frame.line[0], *e.protocol.frame.line[1]}
    for each in (*e.protocol.frame.lines, *e.rule.axis_lines):
        named |= {*each.line[0], *each.line[1]}
    doubtful = [
        m.name
        for m in e.landmarks
        if m.name in named and m.status == PREDICTED and m.confidence < e.limits.doubtful_peak
    ]
    absent = [m.name for m in e.landmarks if m.name in named and m.status == MISSING]
    if doubtful or absent:
        return Check(
            "reference line", WARNING, f"Check point {shortened(absent + doubtful)}: it is not clearly visible."
        )
    return None


def _outlier_level(e: Evidence) -> str | None:
    """How bad it is that landmarks contradict the others; None where few do."""
    found = sum(landmark.status != MISSING for landmark in e.landmarks)
    return _above(len(e.frame.outliers) / max(1, found), e.limits.outlier_share)


def _outliers(e: Evidence) -> Check | None:
    level = _outlier_level(e)
    if level and not _placed_far_off(e):  # else that is the finding, see ``_placed``
        return Check(
            "outliers",
            level,
            f"{len(e.frame.outliers)} points contradict the others: check {shortened(e.frame.outliers)}.",
        )
    return None


def _placed(e: Evidence) -> Check | None:
    """A placed point is never down-weighted; report one that is far from where the others predict it.

    Where the frame follows it, many others contradict: the placed point is named, not those.
    """
    far = _placed_far_off(e)
    if not far:
        return None
    text = f"Placed far from where the other points expect it: {shortened(far)}"
    level = _outlier_level(e)
    if level is None:
        return Check("placed points", WARNING, f"{text}.")
    count = len(e.frame.outliers)
    remedy = "correct or restore it, or, where it is right, re-predict the others"
    return Check("placed points", level, f"{text}; {count} others contradict: {remedy}.")


def _placed_far_off(e: Evidence) -> list[str]:
    """The placed points that lie farther from where the others expect them than heads differ, with the distance."""
    spread = {landmark.name: float(np.linalg.norm(landmark.sd_mm)) for landmark in e.protocol.constellation.landmarks}
    return [
        f"{landmark.name} ({e.frame.residuals_mm[landmark.name]:.0f} mm)"
        for landmark in e.landmarks
        if landmark.status == CORRECTED
        and e.frame.residuals_mm[landmark.name] > PLACED_SLACK_MM + PLACED_SPREADS * spread[landmark.name]
    ]


def _moved(e: Evidence) -> Check | None:
    """Did the head move between the scouts?"""
    message = motion_message(e.motion) if e.motion else None
    return Check("motion", WARNING, message) if message else None


def _planes_agree(e: Evidence) -> Check | None:
    found = sum(landmark.status != MISSING for landmark in e.landmarks)
    level = _above(len(e.disagreeing) / max(1, found), e.limits.outlier_share)
    if level:
        return Check(
            "planes disagree", level, f"The planes place {shortened(e.disagreeing)} differently: check these points."
        )
    return None


def _size(e: Evidence) -> Check | None:
    scale = e.frame.scale
    if not POSSIBLE_SCALE[0] < scale < POSSIBLE_SCALE[1]:
        return Check(
            "size", ERROR, f"The anatomy would be {scale:.2f} times the usual size: outside the range of the model."
        )
    if not USUAL_SCALE[0] < scale < USUAL_SCALE[1]:
        return Check("size", WARNING, f"Unusual size ({scale:.2f} times the reference): check the points.")
    return None


def _side(e: Evidence) -> Check | None:
    return side_check(e.stacks, e.frame, e.protocol, e.rule)


def _body_part(e: Evidence) -> Check | None:
    return body_part_check(e.stacks, e.protocol)


def _bent(e: Evidence) -> Check | None:
    """Is a joint bent farther than joints are in a coil?"""
    for name, angle in e.frame.angles.items():
        level = _above(abs(angle.deg), BENT_DEG)
        if level:
            return Check("joint", level, f"The {name} of the joint is {angle.deg:.0f} deg: check every point.")
    return None


def _tilt(e: Evidence) -> Check | None:
    sd = np.rad2deg(np.sqrt(np.diagonal(e.frame.covariance)[:3]))
    level = _above(sd.max(), TILT_SD_DEG)
    if level:
        axis = ("pitch", "roll", "yaw")[int(sd.argmax())]
        known = "is not determined" if sd.max() > UNDETERMINED_DEG else f"is uncertain (sd {sd.max():.1f} deg)"
        return Check("tilt", level, f"The {axis} {known}: add slices or place more points.")
    return None


def _obliquity(e: Evidence) -> Check | None:
    """Slices unlike the training images: derotation makes the image upright, the slice itself stays oblique."""
    nearest = [np.abs(e.frame.axes @ stack.normal).max() for stack in e.stacks]
    angle = float(np.rad2deg(np.arccos(min(1.0, min(nearest)))))
    if angle > e.limits.oblique_deg:
        anatomy = e.protocol.anatomy or "anatomy"
        remedy = f"check the tilt, or repeat the scouts along the planes of the {anatomy}"
        return Check("oblique", WARNING, f"A scout plane is {angle:.0f} deg oblique to the {anatomy}: {remedy}.")
    return None


def _faces(e: Evidence) -> Check | None:
    face = max(FACES, key=lambda name: e.box.face_sd_mm[name])
    sd = e.box.face_sd_mm[face]
    level = _above(sd, FACE_SD_MM)
    if level:
        known = "is not determined" if sd > UNDETERMINED_MM else f"is uncertain (sd {sd:.0f} mm)"
        return Check("box", level, f"The {face} face {known}: check it or add margin.")
    return None


def _coverage(e: Evidence) -> Check | None:
    """Does every face meet the stated coverage?"""
    at_risk = faces_at_risk(e.box, e.frame, e.protocol, e.stated_coverage)
    if not at_risk:
        return None
    first, *others = at_risk
    faces = [
        f"{first.face} up to {_capped_mm(first.beyond_mm)} (probability {first.probability:.0%})",
        *(f"{risk.face} {_capped_mm(risk.beyond_mm)} ({risk.probability:.0%})" for risk in others),
    ]
    remedy = "add slices or field of view, or move the slab" if e.rule.slab else "move these faces out"
    return Check("coverage", WARNING, f"The anatomy may reach beyond the box: {', '.join(faces)}; {remedy}.")


def _capped_mm(length_mm: float) -> str:
    return f"{length_mm:.1f} mm" if length_mm < UNDETERMINED_MM else f"over {UNDETERMINED_MM:.0f} mm"


def _cut_off(e: Evidence) -> Check | None:
    """Is each landmark that the box's faces rest on inside the field of view of some plane that shows the face?"""
    outside = []
    for face in FACES:
        outward = outward_axis(e.box.axes, face)
        # A stack viewed along the face's normal shows the projection of what lies beyond its outermost slice, too.
        showing = [stack for stack in e.stacks if abs(stack.normal @ outward) < ACROSS]
        for name in e.rule.faces[face].landmarks:
            if name not in outside and not any(_inside(e.frame.expected_mm[name], stack) for stack in showing):
                outside.append(name)
    if outside:
        return Check(
            "field of view",
            WARNING,
            f"Anatomy is cut off at {shortened(outside)}: the box may be wrong there, enlarge the scouts.",
        )
    return None


def _inside(point: np.ndarray, stack: ScoutStack) -> bool:
    """Is the point's projection within the images of a stack?"""
    return any(scout_slice.shows(point) for scout_slice in stack.slices)


def _above(value: float, limits: tuple[float, float]) -> str | None:
    return ERROR if value > limits[1] else WARNING if value > limits[0] else None


def _below(value: float, limits: tuple[float, float]) -> str | None:
    return ERROR if value < limits[1] else WARNING if value < limits[0] else None
