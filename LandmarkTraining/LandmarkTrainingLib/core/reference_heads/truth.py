"""The frame of a head whose landmarks are known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from AutoVolumeCalibrationLib.core.anatomy.landmark import MISSING, PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame, fit_frame


def true_frame(landmarks: Iterable[Landmark], protocol: Protocol) -> AnatomicalFrame:
    """The frame by the rule for found landmarks.

    By the rule for placed ones AC and PC alone would decide the pitch, and the truth of these is not better known
    than that of the others.
    """
    known = [replace(mark, status=PREDICTED) for mark in landmarks if mark.status != MISSING]
    return fit_frame(known, protocol)
