"""Measure planning methods on real heads at known poses in the scanner.

Every case is one head at one pose, scanned with one geometry and planned by one method. The truth is
planned by the same fit and the same box rule from the true landmarks, so that all errors come from the method.
A case depends on (seed, head, pose number, geometry) alone, never on the order. With a log file an
evaluation can be stopped and resumed.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.box_side import on_side
from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED, PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol, box_rule
from AutoVolumeCalibrationLib.core.errors import AutoVolumeError
from AutoVolumeCalibrationLib.core.geometry.coordinates import rotation_angles_deg
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, OrientedBox, face_center_mm, outward_axis
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, OK, WARNING
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.planning.margins import margins_mm
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, Volume, cut_three_planes

from ..reference_heads.brain_extremes import NORMAL_AXIS, OUTWARD_MM, ROBUST_RANK, acpc_axes
from ..reference_heads.heads import Head
from ..reference_heads.poses import Pose, head_to_scanner, move_named, move_points, posed_volume, random_pose
from ..reference_heads.truth import true_frame
from .case_log import CaseKey, CaseResult, append_case, open_case_log
from .errors.joint_errors import angle_errors_deg, is_side_right
from .errors.slice_angles import slice_angles_deg
from .methods import Method, Plan, SliceDetections
from .metrics import box_errors, covered_fraction, landmark_errors_mm, points_on_slice

#: Slices per plane, as in practice: a rich, an ordinary and the poorest three-plane scout.
GEOMETRIES = {
    "P5": ScoutGeometry(5, 12.0, 6.0),
    "P3": ScoutGeometry(3, 15.0, 6.0),
    "P1": ScoutGeometry(1, 0.0, 6.0),
}

#: In-plane errors are measured on slices at most this far from the landmark.
IN_PLANE_REACH_MM = 6.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conditions:
    """How heads are posed and scanned, and what is planned; results of other conditions do not mix.

    ``noise`` is the standard deviation of the Rician noise over the brightest pixel of each stack.
    ``box`` names one of the protocol's boxes, its first when None.
    """

    seed: int = 0
    max_rotation_deg: float = 20.0
    max_shift_mm: float = 20.0
    noise: float = 0.02
    box: str | None = None


@dataclass(frozen=True, eq=False)
class Truth:
    """What a perfect method would return for one head in the scanner, as far as it is known; RAS.

    Attributes:
        points: landmark name -> (3,) mm.
        surface_points: (n, 3) mm on the surface of the brain, or of what else the box should hold.
        frame, box: planned from the points; None where these do not determine them.
        absent: names of the landmarks that are known not to be in the scouts.
        unseen_mm: name of an extreme -> how far the brain reaches beyond ``surface_points`` there.
        outermost: the how manieth outermost of the points counts as the outermost: of thousands the last few are noise.
    """

    points: Mapping[str, np.ndarray]
    surface_points: np.ndarray | None
    frame: AnatomicalFrame | None
    box: OrientedBox | None
    absent: frozenset[str] = frozenset()
    unseen_mm: Mapping[str, float] = field(default_factory=lambda: OUTWARD_MM)
    outermost: int = ROBUST_RANK


def evaluate(
    methods: Mapping[str, Method],
    protocol: Protocol,
    heads: Sequence[Head],
    *,
    poses_per_head: int = 2,
    geometries: Mapping[str, ScoutGeometry] = GEOMETRIES,
    conditions: Conditions = Conditions(),
    log: Path | None = None,
) -> list[CaseResult]:
    """Every method on every head, pose and geometry.

    Args:
        methods: name -> method; the names identify results in the log.
        log: JSON-lines file, one line a case; the cases in it are not computed again.

    Returns:
        The results in the order heads, poses, geometries, methods.

    Raises:
        InputError: the log is damaged or was written under other conditions.
    """
    known = open_case_log(log, _describe(protocol, geometries, conditions, heads)) if log else {}
    results = []
    for head in heads:
        volume = None
        for pose_number in range(poses_per_head):
            for geometry_name, geometry in geometries.items():
                keys = {name: (head.id, pose_number, geometry_name, name) for name in methods}
                todo = {name: method for name, method in methods.items() if keys[name] not in known}
                if todo:
                    volume = volume or head.volume()
                    for result in _run_case(
                        head, volume, pose_number, geometry_name, geometry, todo, protocol, conditions
                    ):
                        known[result.key] = result
                        if log:
                            append_case(log, result)
                        _log.info("%s", " ".join(map(str, result.key)))
                results += [known[key] for key in keys.values()]
    return results


def case_pose(head_id: str, pose_number: int, conditions: Conditions) -> Pose:
    """The pose of a case, whatever else is evaluated."""
    rng = np.random.default_rng(_seed(conditions, head_id, pose_number))
    return random_pose(rng, conditions.max_rotation_deg, conditions.max_shift_mm)


def add_noise(stacks: Sequence[ScoutStack], level: float, rng: np.random.Generator) -> list[ScoutStack]:
    """The stacks with Rician noise of ``level`` times each stack's brightest pixel."""
    noisy = []
    for stack in stacks:
        sd = level * max(float(s.pixels.max()) for s in stack.slices)
        slices = []
        for scout_slice in stack.slices:
            real, imaginary = rng.normal(0.0, sd, (2, *scout_slice.pixels.shape))
            slices.append(
                replace(scout_slice, pixels=np.hypot(scout_slice.pixels + real, imaginary).astype(np.float32))
            )
        noisy.append(replace(stack, slices=tuple(slices)))
    return noisy


def true_plan(head: Head, transform: np.ndarray, protocol: Protocol, box: str | None = None) -> Truth:
    """Frame and box from the true landmarks of a head moved by ``transform`` (4, 4), made like a method's."""
    rotation = transform[:3, :3]
    points = move_named(transform, head.points)
    landmarks = [
        Landmark(name, point, rotation @ head.covariances_mm2[name] @ rotation.T, 1.0, CORRECTED)
        for name, point in points.items()
    ]
    frame = true_frame(landmarks, protocol)
    brain = None if head.brain_points is None else move_points(transform, head.brain_points)
    return Truth(points, brain, frame, plan_box(frame, protocol, box_rule(protocol, box)))


def measure(key: CaseKey, plan: Plan, truth: Truth, stacks: Sequence[ScoutStack], protocol: Protocol) -> CaseResult:
    """All errors of one plan; what the truth does not determine is left out."""
    expected = [Landmark(name, point) for name, point in plan.frame.expected_mm.items()]
    axes = truth.frame.axes if truth.frame else None
    # Without a frame the normals of the extremes are unknown, and so are their errors.
    points = {name: point for name, point in truth.points.items() if truth.frame or name not in NORMAL_AXIS}
    wanted = [name for name in protocol.constellation.names if name in points]
    found = landmark_errors_mm(plan.landmarks, points, np.eye(3) if axes is None else axes, NORMAL_AXIS)
    placed = {landmark.name for landmark in plan.landmarks if landmark.position_mm is not None}
    level, findings = _judgement(plan)
    return CaseResult(
        *key,
        in_plane_mm=in_plane_errors_mm(plan.detections or (), stacks, truth.points, protocol),
        landmarks_mm=found,
        expected_mm=landmark_errors_mm(expected, points, np.eye(3) if axes is None else axes, NORMAL_AXIS),
        missing=[name for name in wanted if name not in found],
        invented=sorted(truth.absent & placed),
        frame_angles_deg=[] if axes is None else [float(a) for a in rotation_angles_deg(axes, plan.frame.axes)],
        acpc_pitch_deg=_acpc_pitch_deg(truth, plan.frame),
        box=None if truth.box is None else box_errors(plan.box, truth.box),
        slice_angles_deg=[] if truth.box is None else _slice_angles_deg(plan, truth.box, protocol),
        joint_deg=angle_errors_deg(plan.frame, truth.frame),
        side_right=is_side_right(plan.frame, truth.frame),
        covered=_covered(plan.box, truth),
        covered_planned=_covered(plan.delivered or plan.box, truth),
        needed_mm=[] if truth.surface_points is None else needed_margins_mm(plan, truth, protocol),
        angles_sd_deg=[float(sd) for sd in np.rad2deg(np.sqrt(np.diagonal(plan.frame.covariance)[:3]))],
        face_sd_mm=[float(plan.box.face_sd_mm[face]) for face in FACES],
        level=level,
        findings=findings,
        timings_s={step: float(seconds) for step, seconds in plan.timings_s.items()},
        mean_peak=_mean_peak(plan.landmarks),
    )


def _mean_peak(landmarks: Sequence[Landmark]) -> float | None:
    """Mean height of the detected peaks; None where nothing was detected (baselines)."""
    peaks = [landmark.confidence for landmark in landmarks if landmark.status == PREDICTED and landmark.confidence > 0]
    return float(np.mean(peaks)) if peaks else None


def in_plane_errors_mm(
    detections: Sequence[SliceDetections],
    stacks: Sequence[ScoutStack],
    true_mm: Mapping[str, np.ndarray],
    protocol: Protocol,
) -> dict[str, dict[str, list[float | None]]]:
    """plane -> landmark -> distance on every slice near it, None where it was not found there.

    Extremes are left out: their true positions across the normal are unknown.
    """
    mirror = {landmark.name: landmark.mirror for landmark in protocol.constellation.landmarks if landmark.mirror}
    points = {each.name: true_mm[each.name] for each in protocol.constellation.landmarks if each.name in true_mm}
    points = {name: point for name, point in points.items() if name not in NORMAL_AXIS}
    errors: dict[str, dict[str, list[float | None]]] = {}
    for on_slice in detections:
        stack = stacks[on_slice.stack_index]
        scout_slice = stack.slices[on_slice.slice_index]
        visible = points_on_slice(scout_slice, stack.plane, points, mirror, IN_PLANE_REACH_MM, on_slice.sagittal_pairs)
        for name, position in visible.items():
            found = on_slice.positions_mm.get(name)
            distance = None if found is None else float(np.linalg.norm(found - position))
            errors.setdefault(stack.plane, {}).setdefault(name, []).append(distance)
    return errors


def needed_margins_mm(plan: Plan, truth: Truth, protocol: Protocol) -> list[float]:
    """Margins (6,), order FACES, with which the plan's box would hold the whole anatomy; a truth with such points."""
    rule = on_side(box_rule(protocol, plan.box.name), plan.frame.side, protocol.constellation)
    margins = margins_mm(plan.box, plan.frame, protocol)
    needed = []
    for face in FACES:
        beyond = (truth.surface_points - face_center_mm(plan.box, face)) @ outward_axis(plan.box.axes, face)
        unseen = max(truth.unseen_mm.get(name, 0.0) for name in rule.faces[face].landmarks)
        needed.append(float(margins[face] + np.sort(beyond)[-truth.outermost] + unseen))
    return needed


def _covered(box: OrientedBox, truth: Truth) -> float | None:
    return None if truth.surface_points is None else covered_fraction(box, truth.surface_points)


def _slice_angles_deg(plan: Plan, true: OrientedBox, protocol: Protocol) -> list[float]:
    return list(slice_angles_deg(plan.box, true, box_rule(protocol, plan.box.name)))


def _acpc_pitch_deg(truth: Truth, frame: AnatomicalFrame) -> float | None:
    """Pitch of a frame against the true AC-PC line itself; None where its points are unknown."""
    try:
        axes = acpc_axes(truth.points)
    except KeyError:
        return None
    return float(rotation_angles_deg(axes, frame.axes)[0])


def _judgement(plan: Plan) -> tuple[str | None, list[str]]:
    if plan.checks is None:
        return None, []
    levels = {check.level for check in plan.checks}
    worst = next((level for level in (ERROR, WARNING) if level in levels), OK)
    return worst, [check.name for check in plan.checks if check.level != OK]


def _run_case(
    head: Head,
    volume: Volume,
    pose_number: int,
    geometry_name: str,
    geometry: ScoutGeometry,
    methods: Mapping[str, Method],
    protocol: Protocol,
    conditions: Conditions,
) -> Iterator[CaseResult]:
    transform = head_to_scanner(case_pose(head.id, pose_number, conditions), head.origin_mm, head.axes)
    truth = true_plan(head, transform, protocol, conditions.box)
    rng = np.random.default_rng([*_seed(conditions, head.id, pose_number), _number(geometry_name)])
    clean = cut_three_planes(posed_volume(volume, transform), geometry, np.zeros(3))
    stacks = add_noise(clean, conditions.noise, rng)
    for name, method in methods.items():
        key = (head.id, pose_number, geometry_name, name)
        try:
            plan = method(stacks)
        except AutoVolumeError as error:  # a refusal is a result
            yield CaseResult(*key, failure=str(error))
        else:
            yield measure(key, plan, truth, stacks, protocol)


def _seed(conditions: Conditions, head_id: str, pose_number: int) -> list[int]:
    return [conditions.seed, _number(head_id), pose_number]


def _number(name: str) -> int:
    """A number for a name that is the same in every run (``hash`` is not)."""
    return zlib.crc32(name.encode())


def _describe(
    protocol: Protocol, geometries: Mapping[str, ScoutGeometry], conditions: Conditions, heads: Sequence[Head]
) -> dict[str, Any]:
    """What results depend on besides their key, as the first line of a log."""
    scans = {name: asdict(geometry) for name, geometry in geometries.items()}
    described = {"protocol": protocol.name, "conditions": asdict(conditions), "geometries": scans}
    # The frame of the truth is fitted, too: another constellation gives another truth.
    described["anatomy"] = anatomy_digest(protocol)
    return {**described, "corrected": True} if any(head.corrected for head in heads) else described


def anatomy_digest(protocol: Protocol) -> str:
    """Eight digits that differ where the typical anatomy does."""
    constellation = protocol.constellation
    numbers = np.concatenate([constellation.reference_mm.ravel(), constellation.covariance_mm2.ravel()])
    return f"{zlib.crc32(np.round(numbers, 3).tobytes()):08x}"
