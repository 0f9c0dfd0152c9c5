"""What a perfect method would plan on simulated scouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from AutoVolumeCalibrationLib.core.anatomy.joint import LEFT, RIGHT
from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import BoxRule, Protocol
from AutoVolumeCalibrationLib.core.planning.box import plan_box

from ...reference_heads.brain_extremes import ROBUST_RANK
from ...reference_heads.truth import true_frame
from ...simulator.render import SimulatedStudy
from ...simulator.surfaces import SURFACE_POINTS
from ..evaluation import Truth


def simulated_truth(
    study: SimulatedStudy, landmarks: Sequence[Landmark], surface_mm: torch.Tensor, protocol: Protocol, rule: BoxRule
) -> Truth:
    """Frame and box by the rule for detected landmarks, from the true ones, for the side that the limb is on.

    Args:
        landmarks: of the study, RAS.
        surface_mm: (n, 3) head-space points of ``simulator.surfaces.anatomy_surface_mm`` of the study's head.
    """
    frame = true_frame(landmarks, replace(protocol, side=true_side(study, protocol)))
    surface = study.pose.to_scanner(surface_mm[None])[0].double().cpu().numpy()
    points = {each.name: each.position_mm for each in landmarks if each.position_mm is not None}
    # Of a few landmarks none is noise.
    outermost = ROBUST_RANK if len(surface) > SURFACE_POINTS / 4 else 1
    return Truth(points, surface, frame, plan_box(frame, protocol, rule), unseen_mm={}, outermost=outermost)


def true_side(study: SimulatedStudy, protocol: Protocol) -> str:
    """Side of the body that the limb is on, empty where the anatomy has no sides; label maps are of the joint's own."""
    joint = protocol.constellation.joint
    if joint is None:
        return protocol.side
    mirrored = bool(study.pose.flip[0] < 0)
    return {RIGHT: LEFT, LEFT: RIGHT}[joint.side] if mirrored else joint.side
