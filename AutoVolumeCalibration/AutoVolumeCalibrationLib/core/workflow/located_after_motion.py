"""Landmarks of a study whose head moved between the stacks: all stacks say where they lie in the followed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..detection.fusion import fuse
from ..motion.motion import Motion
from ..motion.realignment import realigned
from .localization import LocalizationResult

if TYPE_CHECKING:
    from ..detection.landmark_model import LandmarkModel


def located_after_motion(located: LocalizationResult, motion: Motion, model: LandmarkModel) -> LocalizationResult:
    """The detections of ``located`` fused anew, with those of the moved stacks brought to the others."""
    detections = realigned(located.detections, motion)
    through_plane_mm = model.uncertainty.through_plane_mm
    fusion = fuse(detections, model.names, model.mirror, model.threshold, model.tau_mm, through_plane_mm)
    return LocalizationResult(fusion.landmarks, fusion.disagreeing, detections, fusion.birge_ratios)
