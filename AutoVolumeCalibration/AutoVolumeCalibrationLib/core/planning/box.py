"""From the anatomical frame to the scan box, by the protocol's rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..anatomy.protocol import BOX_AXES, BoxRule, Protocol, line_axes, tilted_axes
from ..geometry.oriented_box import FACES, OrientedBox, face_center_mm, outward_axis
from .face_uncertainty import Coverage
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
    fixed slab keeps its size and lies with its middle where that box has it.

    Args:
        coverage: what the stated deviations are worth; faces that ``cover`` get the margins that it asks for. None:
            every face has exactly the rule's margin.
    """
    margins = {face: rule.faces[face].margin_mm for face in FACES}
    box = _box(frame, protocol, rule, margins)
    if coverage is None or not any(rule.faces[face].cover for face in FACES):
        return box
    for _ in range(_ROUNDS):
        sd_mm = {face: min(sd, TRUSTED_SD_MM) for face, sd in box.face_sd_mm.items()}
        safe_mm = coverage.safe_margins_mm(sd_mm)
        margins = {
            face: max(rule.faces[face].margin_mm, safe_mm[face]) if rule.faces[face].cover else margins[face]
            for face in FACES
        }
        box = _box(frame, protocol, rule, margins)
    return box


def _box(frame: AnatomicalFrame, protocol: Protocol, rule: BoxRule, margins_mm: Mapping[str, float]) -> OrientedBox:
    """The box with these margins (face -> mm)."""
    axes = tilted_axes(line_axes(frame.axes, rule.line, frame.expected_mm), rule.tilt_deg)
    decisive = [_decisive_landmark(frame, rule.faces[face].landmarks, outward_axis(axes, face)) for face in FACES]
    reach = np.array(
        [
            frame.expected_mm[name] @ outward_axis(axes, face) + margins_mm[face]
            for face, name in zip(FACES, decisive, strict=True)
        ]
    )
    low, high = -reach[0::2], reach[1::2]
    fixed = rule.fixed_size_mm()
    size = high - low if fixed is None else fixed
    center = ((low + high) / 2) @ axes
    if rule.round_up_to_slices and fixed is None:
        along = BOX_AXES.index(rule.slice_axis)
        size[along] = rule.slab_mm(rule.slice_count(size[along]))
    box = OrientedBox(rule.name, center, axes, size)
    sd = {face: _face_sd(frame, protocol, rule, box, face, name) for face, name in zip(FACES, decisive, strict=True)}
    return OrientedBox(rule.name, center, axes, size, sd)


def _decisive_landmark(frame: AnatomicalFrame, names: Sequence[str], outward: np.ndarray) -> str:
    return max(names, key=lambda name: float(frame.expected_mm[name] @ outward))


def _face_sd(
    frame: AnatomicalFrame, protocol: Protocol, rule: BoxRule, box: OrientedBox, face: str, landmark: str
) -> float:
    """Standard deviation of the face's position along its normal, at its middle, in mm.

    Two things move a face: its landmark, and the rotation of the box about that landmark. Both are linear in the
    expected points, whose joint covariance the frame carries.
    """
    names = list(frame.expected_mm)
    outward = outward_axis(box.axes, face)
    # A rotation vector w moves the normal n by w x n, hence the face's middle, which lies at -v from the
    # landmark, by w . (n x v) along n.
    lever = np.cross(outward, frame.expected_mm[landmark] - face_center_mm(box, face))
    response = rotation_response(protocol, rule.line or frame.line) / frame.scale
    weights = np.zeros((len(names), 3))
    turn = (frame.axes.T @ response.reshape(3, -1)).reshape(3, len(names), 3) @ frame.axes
    weights += np.einsum("i,inj->nj", lever, turn)
    weights[names.index(landmark)] += outward
    row = weights.ravel()
    return float(np.sqrt(max(0.0, row @ frame.expected_covariance_mm2 @ row)))
