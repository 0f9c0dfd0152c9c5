"""From the anatomical frame to the scan box, by the protocol's rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..anatomy.box_side import on_side
from ..anatomy.protocol import BOX_AXES, BoxRule, Protocol, line_axes, tilted_axes
from ..geometry.oriented_box import FACES, OrientedBox, face_center_mm, outward_axis
from .face_uncertainty import Coverage
from .fit.axes import FollowedAxes
from .frame import AnatomicalFrame, rotation_response

#: Margins grow with the standard deviation of their face up to this one, mm: beyond it the checks ask for a review.
TRUSTED_SD_MM = 5.0

#: A face's deviation depends a little on where the other faces lie; margins settle within this many rounds.
_ROUNDS = 2


def plan_box(
    frame: AnatomicalFrame, protocol: Protocol, rule: BoxRule, coverage: Coverage | None = None
) -> OrientedBox:
    """The box of ``rule`` on the anatomy of ``frame``.

    Axes: the frame's, pitched onto the rule's line, then tilted. Each face lies its margin beyond the outermost of
    its landmarks' expected positions. Then the box is enlarged to a whole number of slices, if the rule says so. A
    fixed slab keeps its size and lies with its middle where that box has it. A rule that is written for one side of
    the body is mirrored for a limb on the other one.

    Args:
        coverage: what the stated deviations are worth; faces that ``cover`` get the margins that it asks for. None:
            every face has exactly the rule's margin.
    """
    rule = on_side(rule, frame.side, protocol.constellation)
    margins = {face: rule.faces[face].margin_mm for face in FACES}
    anatomy = _anatomy(frame, protocol, rule)
    box = _box(frame, rule, anatomy, margins)
    if coverage is None or not any(rule.faces[face].cover for face in FACES):
        return box
    for _ in range(_ROUNDS):
        sd_mm = {face: min(sd, TRUSTED_SD_MM) for face, sd in box.face_sd_mm.items()}
        safe_mm = coverage.safe_margins_mm(sd_mm)
        margins = {
            face: max(rule.faces[face].margin_mm, safe_mm[face]) if rule.faces[face].cover else margins[face]
            for face in FACES
        }
        box = _box(frame, rule, anatomy, margins)
    return box


@dataclass(frozen=True, eq=False)
class _Anatomy:
    """What a box rests on, whatever its margins; faces in the order of FACES.

    Attributes:
        axes: (3, 3) of the box.
        outward: (6, 3) normals of the faces.
        decisive: (6,) the outermost landmark of each face, its index among the n expected points; points_mm: (6, 3).
        turn: (3, n, 3) rotation vector, RAS, of the box per mm of each expected point.
    """

    axes: np.ndarray
    outward: np.ndarray
    decisive: np.ndarray
    points_mm: np.ndarray
    turn: np.ndarray


def _anatomy(frame: AnatomicalFrame, protocol: Protocol, rule: BoxRule) -> _Anatomy:
    followed = _box_axes(frame, protocol, rule)
    axes = tilted_axes(followed.axes, rule.tilt_deg)
    outward = np.array([outward_axis(axes, face) for face in FACES])
    decisive = [
        _decisive_landmark(frame, rule.faces[face].landmarks, normal)
        for face, normal in zip(FACES, outward, strict=True)
    ]
    names = list(frame.expected_mm)
    points = np.array([frame.expected_mm[name] for name in decisive])
    return _Anatomy(axes, outward, np.array([names.index(name) for name in decisive]), points, followed.response)


def _box_axes(frame: AnatomicalFrame, protocol: Protocol, rule: BoxRule) -> FollowedAxes:
    """The axes of the box before it is tilted, and how they follow the expected points."""
    if frame.response is not None:
        return FollowedAxes(frame.axes, frame.response).along(rule.axis_lines, frame.expected_mm)
    response = rotation_response(protocol, rule.line or frame.line) / frame.scale
    turn = (frame.axes.T @ response.reshape(3, -1)).reshape(3, len(frame.expected_mm), 3) @ frame.axes
    own = FollowedAxes(line_axes(frame.axes, rule.line, frame.expected_mm), turn)
    return own.along(rule.lines, frame.expected_mm)


def _box(frame: AnatomicalFrame, rule: BoxRule, anatomy: _Anatomy, margins_mm: Mapping[str, float]) -> OrientedBox:
    """The box with these margins (face -> mm)."""
    axes = anatomy.axes
    reach = np.array([_reach_mm(frame, rule, anatomy, index, margins_mm) for index in range(len(FACES))])
    low, high = -reach[0::2], reach[1::2]
    fixed = rule.fixed_size_mm()
    size = high - low if fixed is None else fixed
    center = ((low + high) / 2) @ axes
    if rule.round_up_to_slices and fixed is None:
        along = BOX_AXES.index(rule.slice_axis)
        size[along] = rule.slab_mm(rule.slice_count(size[along]))
    box = OrientedBox(rule.name, center, axes, size)
    sd_mm = _face_sd_mm(frame, anatomy, box)
    return OrientedBox(rule.name, center, axes, size, dict(zip(FACES, map(float, sd_mm), strict=True)))


def _reach_mm(
    frame: AnatomicalFrame, rule: BoxRule, anatomy: _Anatomy, index: int, margins_mm: Mapping[str, float]
) -> float:
    """How far along its normal a face lies, from the world's origin."""
    face = rule.faces[FACES[index]]
    if face.anchor:
        anchor = np.mean([frame.expected_mm[name] for name in face.anchor], axis=0)
        return float(anchor @ anatomy.outward[index]) + face.length_mm
    return float(anatomy.points_mm[index] @ anatomy.outward[index]) + margins_mm[FACES[index]]


def _decisive_landmark(frame: AnatomicalFrame, names: Sequence[str], outward: np.ndarray) -> str:
    return max(names, key=lambda name: float(frame.expected_mm[name] @ outward))


def _face_sd_mm(frame: AnatomicalFrame, anatomy: _Anatomy, box: OrientedBox) -> np.ndarray:
    """(6,) standard deviation of each face's position along its normal, at its middle.

    Two things move a face: its landmark, and the rotation of the box about that landmark. Both are linear in the
    expected points, whose joint covariance the frame carries.
    """
    middles = np.array([face_center_mm(box, face) for face in FACES])
    # A rotation vector w moves the normal n by w x n, hence the face's middle, which lies at -v from the
    # landmark, by w . (n x v) along n.
    lever = np.cross(anatomy.outward, anatomy.points_mm - middles)
    weights = np.einsum("fi,inj->fnj", lever, anatomy.turn)
    weights[np.arange(len(FACES)), anatomy.decisive] += anatomy.outward
    rows = weights.reshape(len(FACES), -1)
    variances = ((rows @ frame.expected_covariance_mm2) * rows).sum(axis=1)
    sd_mm: np.ndarray = np.sqrt(np.maximum(variances, 0.0))
    return sd_mm
