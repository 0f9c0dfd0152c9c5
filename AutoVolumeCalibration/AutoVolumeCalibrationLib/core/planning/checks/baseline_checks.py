"""Checks of a follow-up: do the scouts match those of the baseline, and how well is its box placed?"""

from __future__ import annotations

from ...follow_up.follow_up import CERTAIN_DEG, CERTAIN_MM, LARGEST_CHI_SQUARE
from .check import ERROR, WARNING, Check
from .evidence import Evidence


def not_matched(e: Evidence) -> Check | None:
    """Do the images show what the baseline's showed?"""
    if e.follow_up is None or e.follow_up.matched:
        return None
    found = f"correlation {e.follow_up.correlation:.2f}"
    return Check(
        "baseline", ERROR, f"The scouts do not match the baseline's ({found}): this plan follows the landmarks alone."
    )


def certain(e: Evidence) -> Check | None:
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


def agrees(e: Evidence) -> Check | None:
    """Do the images and the landmarks of both visits agree about how the patient lies now?"""
    f = e.follow_up
    if f is None or f.chi_square <= LARGEST_CHI_SQUARE:
        return None
    return Check(
        "baseline",
        WARNING,
        f"Images and landmarks disagree by more than their uncertainty, the box lies {f.in_words}: compare the visits.",
    )
