"""Checks of what the scouts show: is it the anatomy that is planned?"""

from __future__ import annotations

import numpy as np

from ...anatomy.landmark import CORRECTED, PREDICTED
from .check import ERROR, WARNING, Check, level_above
from .evidence import Evidence


def other_anatomy(e: Evidence) -> Check | None:
    """Do the scouts show what the protocol is for? Points that the user placed say so, but not that all is well."""
    if not e.other_anatomy:
        return None
    level = WARNING if any(landmark.status == CORRECTED for landmark in e.landmarks) else ERROR
    shown, wanted = e.other_anatomy, e.protocol.anatomy or e.protocol.title
    return Check("other anatomy", level, f"The scouts look like {shown}, not {wanted}: choose the protocol for that.")


def unsure_anatomy(e: Evidence) -> Check | None:
    """Does anybody know what the scouts show? Who placed points, or named the protocol, does."""
    if not e.unsure_anatomy or any(landmark.status == CORRECTED for landmark in e.landmarks):
        return None
    probable = e.protocol.anatomy or e.protocol.title
    text = f"No model is sure of the anatomy, {probable} is the most probable: check the region, or name the protocol."
    return Check("unsure anatomy", WARNING, text)


def recognised(e: Evidence) -> Check | None:
    """Is this the anatomy of the protocol at all?"""
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


def shape(e: Evidence) -> Check | None:
    """Is the constellation of the points that of the anatomy?"""
    if any(landmark.status == CORRECTED for landmark in e.landmarks) or not e.frame.residuals_mm:
        return None
    typical = float(np.median(list(e.frame.residuals_mm.values())))
    level = level_above(typical, e.limits.shape_mm)
    if level:
        anatomy = e.protocol.anatomy or "anatomy"
        return Check(
            "shape", level, f"The points are {typical:.0f} mm off a typical {anatomy}: wrong region, or motion?"
        )
    return None
