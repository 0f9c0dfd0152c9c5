"""Fit the anatomical frame: the pose of a typical head whose landmarks match the observed ones.

Model: an observed landmark is ``y_i = t + s R (m_i + d_i) + e_i`` with the reference constellation m, the
individual shape d ~ N(0, S) (S from the protocol) and the error e_i ~ N(0, C_i) (C_i from fusion). A network
also makes an error that all its landmarks share, as if the head were rotated a little less than it is; that part
``J q`` with q ~ N(0, Q) (J the pose's Jacobian, Q from the model) does not average out, and corrected landmarks
do not have it. A landmark that the user corrected within a slice is corrected along two axes; along the third, its
``free_direction``, it remains a prediction with all that follows.

Pose and size (R, t, s) are estimated by generalised least squares with covariance
``S + C + J Q J'`` and robust weights, so every landmark is weighted by its uncertainty; the shape, and with it the
*expected* position of every landmark, observed or not, follows by best linear prediction ("universal kriging").

The axes are those of the fitted constellation, whose anterior axis is the protocol's line (e.g. PC -> AC) in the mean
head: a pitch from all landmarks is steadier than one from two points 28 mm apart (FIELD 2). Once the user has placed a
landmark of the line, the axes follow that line through its expected points. Until then the individual's own line is
rotated against the axes by what the anatomy states of it (``AnatomicalFrame.line_sd_rad``).

An anatomy of parts joined by hinges has the angles of its hinges as further parameters, with a prior, and what the
hinges leave open as part of S (``anatomy.joint``). Its limb is on one side of the body: both sides are fitted, and the
likelier one is taken, given where the limb lies in the scanner (``fit.side``). The frame has the axes of the part, or
the blend of parts, that the protocol names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..anatomy.landmark import CORRECTED, MISSING, Landmark
from ..anatomy.protocol import Line, Protocol, line_axes
from ..errors import InputError
from ..geometry.covariance import is_covariance
from .fit.anatomical_frame import BY_HEADER, BY_PROTOCOL, FOUND, AnatomicalFrame, JointAngle
from .fit.axes import FollowedAxes, blended, followed_part, part_axes
from .fit.body import Body, body_of, in_world_mm2
from .fit.determined import FEWEST_LANDMARKS, require_determined
from .fit.prediction import condition_number, left_out_residuals, predict
from .fit.response import pose_difference, rotation_response, rotation_variances
from .fit.robust_fit import Fit, robust_fit
from .fit.side import side_of

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = [
    "FEWEST_LANDMARKS",
    "OUTLIER_WEIGHT",
    "AnatomicalFrame",
    "fit_frame",
    "pose_difference",
    "rotation_response",
    "rotation_variances",
]

#: A landmark with less than this robust weight is named an outlier.
OUTLIER_WEIGHT = 0.25

#: The line follows a landmark that the user placed along the head's superior axis: its free direction's component
#: along that axis is smaller than this. A point placed in an axial slice says nothing about the pitch.
FREE_SUPERIOR = 0.7


def fit_frame(
    landmarks: Sequence[Landmark],
    protocol: Protocol,
    pose_covariance: np.ndarray | None = None,
    header_side: str = "",
) -> AnatomicalFrame:
    """The frame that explains the landmarks that are not missing.

    Landmarks that the protocol does not know are left out. Corrected landmarks are never treated as outliers, except
    for the depth of one that was corrected within a slice.

    Args:
        pose_covariance: (7, 7) of the error that all predicted landmarks share, as (rotation about right, anterior,
            superior in rad; log scale; translation along them in mm); None: they err independently.
        header_side: of the limb, "right" or "left", as the scouts' headers state it; empty where they do not. The
            protocol's own side comes first.

    Raises:
        InputError: fewer than three landmarks, or all nearly collinear; the message says what would help.
    """
    constellation = protocol.constellation
    index = {name: i for i, name in enumerate(constellation.names)}
    observed = [landmark for landmark in landmarks if landmark.status != MISSING and landmark.name in index]
    require_determined(observed, protocol)
    chosen = np.array([index[landmark.name] for landmark in observed])
    points = np.array([landmark.position_mm for landmark in observed])
    errors = np.array([landmark.covariance_mm2 for landmark in observed])
    predicted = np.array([_predicted_part(landmark) for landmark in observed])
    if pose_covariance is not None and not is_covariance(pose_covariance, semidefinite=True):
        raise InputError("the covariance of the pose is not valid", remedy="Run calibrate again.")
    bodies = {side: body_of(constellation, side) for side in constellation.joints or [""]}
    # These matrices are small: on a busy machine the threads of BLAS wait for each other far longer than they work.
    with _blas().limit(limits=1, user_api="blas"):
        fits = {
            side: robust_fit(points, errors, predicted, body.subset(chosen), pose_covariance)
            for side, body in bodies.items()
        }
        side, probability = side_of(fits, protocol.side or header_side)
        fit, body = fits[side], bodies[side]
        expected, covariance = predict(fit, chosen, body)
        placement = _Placement(fit, expected, covariance, observed)
        if body.joint is None and not protocol.frame.lines:
            return _rigid_frame(placement, protocol)
        frame = _followed_frame(placement, body, protocol)
        source = BY_PROTOCOL if protocol.side else BY_HEADER if header_side else FOUND
        return replace(frame, side=side, side_probability=probability, side_source=source)


@dataclass(frozen=True, eq=False)
class _Placement:
    """What the fit says of all landmarks: ``expected`` (n, 3), ``covariance`` (3n, 3n), in the axes of their parts."""

    fit: Fit
    expected: np.ndarray
    covariance: np.ndarray
    observed: Sequence[Landmark]

    def common(self) -> dict[str, Any]:
        """What a frame holds whatever its axes follow."""
        fit, alone = self.fit, left_out_residuals(self.fit) * self.fit.pose.scale
        return {
            "scale": fit.pose.scale,
            "residuals_mm": {landmark.name: float(r) for landmark, r in zip(self.observed, alone, strict=True)},
            "outliers": tuple(
                self.observed[i].name for i in np.argsort(fit.weights) if fit.weights[i] < OUTLIER_WEIGHT
            ),
            "condition_number": condition_number(fit),
        }


def _predicted_part(landmark: Landmark) -> np.ndarray:
    """(3, 3) projection, RAS, onto the directions in which the landmark is a prediction: all, none, or its depth."""
    if landmark.status != CORRECTED:
        return np.eye(3)
    free = landmark.free_direction
    return np.zeros((3, 3)) if free is None else np.outer(free, free)


def _rigid_frame(placement: _Placement, protocol: Protocol) -> AnatomicalFrame:
    """The frame of one rigid part, whose protocol states a line along +anterior."""
    names = protocol.constellation.names
    pose, covariance = placement.fit.pose, placement.covariance
    positions = dict(zip(names, pose.to_world(placement.expected), strict=True))
    line = _placed_line(placement.observed, protocol, pose.rotation[:, 2])
    axes = line_axes(pose.rotation.T, line, positions)
    origin = names.index(protocol.frame.origin)
    to_frame = np.vstack([rotation_response(protocol, line), np.zeros((3, 3 * len(names)))])
    to_frame[3:, 3 * origin : 3 * origin + 3] = np.eye(3) * pose.scale
    spread = np.kron(np.eye(len(names)), pose.scale * pose.rotation)
    return AnatomicalFrame(
        origin_mm=positions[protocol.frame.origin],
        axes=axes,
        covariance=to_frame @ covariance @ to_frame.T,
        expected_mm=positions,
        expected_covariance_mm2=spread @ covariance @ spread.T,
        line=line,
        line_sd_rad=np.zeros(3) if line else protocol.constellation.line_sd_rad(protocol.frame.axis_lines),
        **placement.common(),
    )


def _followed_frame(placement: _Placement, body: Body, protocol: Protocol) -> AnatomicalFrame:
    """The frame that follows parts of a joint, or whose protocol states lines along other axes."""
    names, fit = protocol.constellation.names, placement.fit
    posture = body.posture(fit.angles)
    in_head = placement.expected if posture is None else posture.bent(placement.expected)
    points = fit.pose.to_world(in_head)
    positions = dict(zip(names, points, strict=True))
    turns = fit.pose.rotation if posture is None else fit.pose.rotation @ posture.rotations
    covariance = in_world_mm2(placement.covariance, fit.pose.scale * turns)
    parts: Mapping[str, FollowedAxes] = {}
    shares: Mapping[str, float] = {}
    if body.joint is None:
        response = rotation_response(protocol, None).reshape(3, -1, 3) / fit.pose.scale
        turn = fit.pose.rotation
        followed = FollowedAxes(turn.T, np.einsum("ai,inj,bj->anb", turn, response, turn))
    else:
        parts = part_axes(body.joint, fit.pose, points)
        shares = followed_part(protocol, body.joint)
        followed = blended(shares, parts)
    placed = _has_placed_line(placement.observed, protocol)
    followed = followed.along(protocol.frame.axis_lines if placed else (), positions)
    origin = names.index(protocol.frame.origin)
    to_frame = np.vstack([followed.axes @ followed.response.reshape(3, -1), np.zeros((3, 3 * len(names)))])
    to_frame[3:, 3 * origin : 3 * origin + 3] = followed.axes
    angle_sd = np.sqrt(np.diagonal(np.linalg.inv(fit.normal))[7:])
    angles = body.joint.angles if body.joint else ()
    return AnatomicalFrame(
        origin_mm=positions[protocol.frame.origin],
        axes=followed.axes,
        covariance=to_frame @ covariance @ to_frame.T,
        expected_mm=positions,
        expected_covariance_mm2=covariance,
        line=protocol.frame.line if placed else None,
        # Of axes between two parts nothing is measured.
        line_sd_rad=np.zeros(3)
        if placed or len(shares) > 1
        else protocol.constellation.line_sd_rad(protocol.frame.axis_lines, next(iter(shares), "")),
        angles={
            name: JointAngle(float(np.rad2deg(angle)), float(np.rad2deg(sd)))
            for name, angle, sd in zip(angles, fit.angles, angle_sd, strict=True)
        },
        part_axes={part: own.axes for part, own in parts.items()},
        response=followed.response,
        **placement.common(),
    )


def _has_placed_line(observed: Sequence[Landmark], protocol: Protocol) -> bool:
    """Whether the user placed a landmark of the frame's lines."""
    of_lines = {name for each in protocol.frame.axis_lines for end in each.line for name in end}
    return any(landmark.status == CORRECTED and landmark.name in of_lines for landmark in observed)


def _placed_line(observed: Sequence[Landmark], protocol: Protocol, superior: np.ndarray) -> Line | None:
    """The protocol's line where the user placed one of its landmarks along ``superior`` (3,) RAS, else None."""
    placed = {landmark.name for landmark in observed if landmark.status == CORRECTED and _is_placed(landmark, superior)}
    start, end = protocol.frame.line
    return protocol.frame.line if placed.intersection((*start, *end)) else None


def _is_placed(landmark: Landmark, direction: np.ndarray) -> bool:
    free = landmark.free_direction
    return free is None or bool(abs(free @ direction) < FREE_SUPERIOR)


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
