"""The frame of a head with known landmarks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from AutoVolumeCalibrationLib.core.anatomy.landmark import MISSING, PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame, fit_frame


def true_frame(landmarks: Iterable[Landmark], protocol: Protocol) -> AnatomicalFrame:
    """The frame by the rule for detected landmarks.

    By the rule for corrected ones AC and PC alone would determine the pitch, and their truth is not more accurate than
    that of the others.
    """
    known = [replace(each, status=PREDICTED) for each in landmarks if each.status != MISSING]
    return fit_frame(known, protocol)
