"""What the checks of a plan look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...anatomy.landmark import Landmark
from ...anatomy.protocol import BoxRule, Protocol
from ...detection.model_limits import ModelLimits
from ...follow_up.follow_up import FollowUp
from ...geometry.oriented_box import OrientedBox
from ...motion.motion import Motion
from ...scouts.stack import ScoutStack
from ..face_uncertainty import Coverage, coverage_of
from ..frame import AnatomicalFrame
from ..risk.finding import PlanRisk


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
