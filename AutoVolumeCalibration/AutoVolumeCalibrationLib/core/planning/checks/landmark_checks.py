"""Checks of the landmarks: are enough found, and do they agree with each other?"""

from __future__ import annotations

import numpy as np

from ...anatomy.landmark import CORRECTED, MISSING, PREDICTED
from ...errors import shortened
from ...motion.motion import motion_message
from .check import WARNING, Check, level_above, level_below
from .evidence import Evidence

#: A placed point counts as far off beyond this many mm plus this many standard deviations of its position in heads.
PLACED_SLACK_MM, PLACED_SPREADS = 2.0, 3.0


def found(e: Evidence) -> Check | None:
    """Are enough landmarks found?"""
    missing = [landmark.name for landmark in e.landmarks if landmark.status == MISSING]
    fraction = 1 - len(missing) / max(1, len(e.landmarks))
    level = level_below(fraction, e.limits.found_share)
    if level:
        return Check(
            "landmarks", level, f"Only {fraction:.0%} of the landmarks were found; missing: {shortened(missing)}."
        )
    return None


def confidence(e: Evidence) -> Check | None:
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
    return level_above(len(e.frame.outliers) / max(1, found), e.limits.outlier_share)


def outliers(e: Evidence) -> Check | None:
    """Do few landmarks contradict the others?"""
    level = _outlier_level(e)
    if level and not _placed_far_off(e):  # else that is the finding, see ``_placed``
        return Check(
            "outliers",
            level,
            f"{len(e.frame.outliers)} points contradict the others: check {shortened(e.frame.outliers)}.",
        )
    return None


def placed(e: Evidence) -> Check | None:
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


def moved(e: Evidence) -> Check | None:
    """Did the patient move between the scouts?"""
    message = motion_message(e.motion) if e.motion else None
    return Check("motion", WARNING, message) if message else None


def planes_agree(e: Evidence) -> Check | None:
    """Do the planes place the landmarks alike?"""
    found = sum(landmark.status != MISSING for landmark in e.landmarks)
    level = level_above(len(e.disagreeing) / max(1, found), e.limits.outlier_share)
    if level:
        return Check(
            "planes disagree", level, f"The planes place {shortened(e.disagreeing)} differently: check these points."
        )
    return None
