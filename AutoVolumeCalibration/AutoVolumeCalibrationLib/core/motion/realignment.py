"""Detections of stacks that moved, brought to where the stacks lie that the plan follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..detection.detector import StackDetections
from ..geometry.rotations import rotation_about
from .motion import Motion, StackOffset


def realigned(detections: Sequence[StackDetections], motion: Motion) -> tuple[StackDetections, ...]:
    """The detections, in the order of the study's stacks, with those of the moved stacks moved by their offsets."""
    offsets = {offset.stack: offset for offset in motion.offsets}
    if motion.center_mm is None or not offsets:
        return tuple(detections)
    center = motion.center_mm
    return tuple(_moved(d, offsets[n], center) if n in offsets else d for n, d in enumerate(detections))


def _moved(detections: StackDetections, offset: StackOffset, center_mm: np.ndarray) -> StackDetections:
    """A point p lies at R (p - c) + c + shift; along the rotated axes its coordinates change by a constant."""
    axes = detections.axes @ rotation_about(np.deg2rad(offset.rotation_deg)).T
    change = axes @ (center_mm + offset.shift_mm) - detections.axes @ center_mm
    return replace(
        detections,
        axes=axes,
        points_mm=detections.points_mm + change[:2],
        positions_mm=detections.positions_mm + change[2],
    )
