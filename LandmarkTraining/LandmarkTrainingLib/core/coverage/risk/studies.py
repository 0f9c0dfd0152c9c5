"""The studies that a model's risk is fitted on: simulated anatomies and real heads of known truth, and other bodies.

A study depends on (seed, number) alone, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import BoxRule, Protocol
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes

from ...evaluation.evaluation import add_noise, true_plan
from ...evaluation.simulated.truth import true_side
from ...evaluation.study_calibration import limits_of
from ...reference_heads.heads import Head
from ...reference_heads.poses import head_to_scanner, posed_volume, random_pose
from ...reference_heads.truth import true_frame
from ...simulator.effects.effect_settings import SimulationEffects
from ...simulator.label_heads import LabelHeads
from ...simulator.pose import PoseLimits
from ...simulator.render import simulate_study
from ...simulator.slice_planes import SliceSettings
from ...simulator.study_rendering import scouts_of
from ...simulator.study_variety import MotionLimits, StudyMotion, random_motion
from .non_heads import BELOW, BELOW_MM, NOISE_SHAPE, SHAPES, below_head, noise_scouts, shape_scouts

_Key = TypeVar("_Key")

#: Kinds of studies. Of NON_HEAD there is no truth: every plan is wrong.
LABELS, VOLUMES, NON_HEAD = "label maps", "volumes", "no head"

#: How often each kind occurs, and each number of slices per plane.
KIND_SHARES = {LABELS: 0.60, VOLUMES: 0.30, NON_HEAD: 0.10}
SLICE_SHARES = {1: 0.7, 3: 0.15, 5: 0.15}

#: Poses as patients lie. The label maps are of different people already: heads are deformed less than in training,
#: where the deformation may exceed that of people and then leaves open by degrees how the frame lies.
ROTATION_DEG, SHIFT_MM = 20.0, 25.0
LIMITS = PoseLimits(ROTATION_DEG, SHIFT_MM, anisotropy=0.04, shear=0.007, warp_mm=1.5)

#: How often the head moves between the stacks, and by how much.
MOTION_SHARE = 0.2
MOTION = MotionLimits(stack_shift_mm=2.0, stack_rotation_deg=2.0, slice_shift_mm=0.3, slice_rotation_deg=0.3)

#: What clinical scouts show besides a healthy head.
EFFECTS = SimulationEffects(
    coil_shading=0.25,
    wrapped_nose=0.1,
    lesions=0.15,
    tumours=0.05,
    resections=0.05,
    dental_metal=0.1,
    small_field=0.1,
)

#: The same of an anatomy other than the head.
EFFECTS_OF_OTHERS = SimulationEffects(coil_shading=0.25, small_field=0.1)

#: Standard deviation of the noise of cut volumes over their brightest pixel.
NOISE = (0.01, 0.06)


@dataclass(frozen=True, eq=False)
class RiskStudy:
    """Scouts with the box that a perfect method would plan.

    Attributes:
        number: of the study; kind: LABELS, VOLUMES or NON_HEAD.
        person: whose head it is, or the name of the non-head; what is left out together in cross-validation.
        slices: per plane.
        stacks: the scouts.
        truth: the right box, None where no box is right.
    """

    number: int
    kind: str
    person: str
    slices: int
    stacks: Sequence[ScoutStack]
    truth: OrientedBox | None


@dataclass(frozen=True, eq=False)
class StudySource:
    """What studies are drawn from.

    Attributes:
        labels: label maps, of heads or of another anatomy; label_names: whose they are, for cross-validation.
        heads: real heads of split `train`; without any none is cut.
        protocol, rule: what is planned.
        seed: of all studies.
    """

    labels: LabelHeads
    label_names: Sequence[str]
    heads: Sequence[Head]
    protocol: Protocol
    rule: BoxRule
    seed: int = 20261129
    _volumes: dict[str, Volume] = field(default_factory=dict)

    def study(self, number: int) -> RiskStudy:
        """The study of that number."""
        rng = np.random.default_rng((self.seed, number))
        kind = _drawn_from(_shares(cut=bool(self.heads)), rng)
        geometry = _geometry(_drawn_from(SLICE_SHARES, rng), rng)
        make = {LABELS: self._simulated, VOLUMES: self._cut, NON_HEAD: self._non_head}[kind]
        return make(number, geometry, rng)

    def _simulated(self, number: int, geometry: ScoutGeometry, rng: np.random.Generator) -> RiskStudy:
        settings, constellation = self._settings, self.protocol.constellation
        moves = rng.random() < MOTION_SHARE
        motion = random_motion(rng, [geometry.slices] * len(PLANES), MOTION) if moves else None
        seed = (self.seed, number)
        study = simulate_study(self.labels, constellation.mirror_indices, geometry, seed, settings, motion)
        scouts = scouts_of(study, constellation, geometry, settings)
        landmarks = scouts.landmarks if motion is None else _where_it_lay(scouts.landmarks, motion)
        frame = true_frame(landmarks, replace(self.protocol, side=true_side(study, self.protocol)))
        truth = plan_box(frame, self.protocol, self.rule)
        return RiskStudy(number, LABELS, self.label_names[study.head], geometry.slices, scouts.stacks, truth)

    def _cut(self, number: int, geometry: ScoutGeometry, rng: np.random.Generator) -> RiskStudy:
        head = self.heads[int(rng.integers(len(self.heads)))]
        transform = head_to_scanner(random_pose(rng, ROTATION_DEG, SHIFT_MM), head.origin_mm, head.axes)
        stacks = cut_three_planes(posed_volume(self._volume(head), transform), geometry, np.zeros(3))
        truth = true_plan(head, transform, self.protocol, self.rule.name)
        noisy = add_noise(stacks, rng.uniform(*NOISE), rng)
        return RiskStudy(number, VOLUMES, head.subject, geometry.slices, noisy, truth.box)

    def _non_head(self, number: int, geometry: ScoutGeometry, rng: np.random.Generator) -> RiskStudy:
        names = [*SHAPES, NOISE_SHAPE, *([BELOW] if self.heads else ())]
        name = names[int(rng.integers(len(names)))]
        if name == NOISE_SHAPE:
            return RiskStudy(number, NON_HEAD, name, geometry.slices, noise_scouts(geometry, rng), None)
        if name in SHAPES:
            stacks = shape_scouts(name, geometry, rng)
        else:
            head = self.heads[int(rng.integers(len(self.heads)))]
            pose, depth_mm = random_pose(rng, ROTATION_DEG, SHIFT_MM), rng.uniform(*BELOW_MM)
            stacks = below_head(head, self._volume(head), pose, geometry, depth_mm)
        return RiskStudy(number, NON_HEAD, name, geometry.slices, add_noise(stacks, 0.02, rng), None)

    def _volume(self, head: Head) -> Volume:
        if head.id not in self._volumes:
            volume = head.volume()
            self._volumes[head.id] = replace(volume, array=volume.array.astype(np.float32))
        return self._volumes[head.id]

    @cached_property
    def _settings(self) -> SliceSettings:
        effects = EFFECTS if self.labels.scene is None else EFFECTS_OF_OTHERS
        return SliceSettings(limits=limits_of(self.labels, LIMITS), effects=effects)


def _where_it_lay(landmarks: Sequence[Landmark], motion: StudyMotion) -> list[Landmark]:
    """The landmarks at their mean positions over the slices of a head that moved: where a plan should be."""

    def mean(position: np.ndarray) -> np.ndarray:
        moved: np.ndarray = (motion.rotations @ position + motion.shifts_mm).mean(axis=0)
        return moved

    return [one if one.position_mm is None else one.corrected(mean(one.position_mm)) for one in landmarks]


def _shares(*, cut: bool) -> dict[str, float]:
    """How often each kind occurs; without volumes to cut label maps take their share."""
    if cut:
        return KIND_SHARES
    return {LABELS: KIND_SHARES[LABELS] + KIND_SHARES[VOLUMES], NON_HEAD: KIND_SHARES[NON_HEAD]}


def _drawn_from(shares: Mapping[_Key, float], rng: np.random.Generator) -> _Key:
    """One of the keys of ``shares``, whose values are probabilities."""
    return list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]


def _geometry(slices: int, rng: np.random.Generator) -> ScoutGeometry:
    """Slices of 3-10 mm; several ones 8-20 mm apart."""
    spacing = rng.uniform(8.0, 20.0 if slices == 3 else 15.0)
    return ScoutGeometry(slices, float(spacing), float(rng.uniform(3.0, 10.0)))
