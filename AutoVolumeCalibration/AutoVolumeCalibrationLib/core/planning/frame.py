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
landmark of the line, the axes follow that line through its expected points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import CORRECTED, MISSING, Landmark
from ..anatomy.protocol import Line, Protocol, line_axes
from ..errors import InputError, shortened
from ..geometry.coordinates import FARTHEST_MM, is_sensible
from ..geometry.covariance import is_covariance
from ..geometry.rotations import best_rotation, rotation_about
from .handedness import FEWEST_POINTS, look_mirrored

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

#: Standard deviation of log head size over the reference: children to large adults.
LOG_SCALE_SD = 0.12

#: A landmark whose residual exceeds this many standard deviations per axis loses weight (Geman-McClure).
ROBUST_SCALE = 2.5

#: The robust scale shrinks from this multiple to 1, so that a bad start does not decide who is an outlier.
ANNEALING = (6.0, 3.0, 1.5)

#: A landmark with less than this robust weight is named an outlier.
OUTLIER_WEIGHT = 0.25

#: Fewer do not determine a pose.
FEWEST_LANDMARKS = 3

#: The line follows a landmark that the user placed along the head's superior axis: its free direction's component
#: along that axis is smaller than this. A point placed in an axial slice says nothing about the pitch.
FREE_SUPERIOR = 0.7

#: Observed landmarks must spread at least this far (root mean square) in two directions.
SMALLEST_SPREAD_MM = 6.0

ITERATIONS = 60
CONVERGED = 1e-10


@dataclass(frozen=True, eq=False)
class _Pose:
    """``world = translation + scale * rotation @ head``."""

    rotation: np.ndarray
    translation: np.ndarray
    scale: float

    def to_head(self, points: np.ndarray) -> np.ndarray:
        return (points - self.translation) @ self.rotation / self.scale

    def to_world(self, points: np.ndarray) -> np.ndarray:
        return self.translation + self.scale * points @ self.rotation.T


@dataclass(frozen=True, eq=False)
class _Fit:
    """State of the fit in head space; of the observed residuals (n, 3), inverse covariance, Jacobian, weights (n,)."""

    pose: _Pose
    residual: np.ndarray
    precision: np.ndarray
    jacobian: np.ndarray
    normal: np.ndarray
    weights: np.ndarray


def fit_frame(
    landmarks: Sequence[Landmark], protocol: Protocol, pose_covariance: np.ndarray | None = None
) -> AnatomicalFrame:
    """The frame that explains the landmarks that are not missing.

    Landmarks that the protocol does not know are left out. Corrected landmarks are never treated as outliers, except
    for the depth of one that was corrected within a slice.

    Args:
        pose_covariance: (7, 7) of the error that all predicted landmarks share, as (rotation about right, anterior,
            superior in rad; log scale; translation along them in mm); None: they err independently.

    Raises:
        InputError: fewer than three landmarks, or all nearly collinear; the message says what would help.
    """
    constellation = protocol.constellation
    index = {name: i for i, name in enumerate(constellation.names)}
    observed = [landmark for landmark in landmarks if landmark.status != MISSING and landmark.name in index]
    _require_determined(observed, protocol)
    chosen = np.array([index[landmark.name] for landmark in observed])
    points = np.array([landmark.position_mm for landmark in observed])
    errors = np.array([landmark.covariance_mm2 for landmark in observed])
    predicted = np.array([_predicted_part(landmark) for landmark in observed])
    reference, shape = constellation.reference_mm, constellation.covariance_mm2
    if pose_covariance is not None and not is_covariance(pose_covariance, semidefinite=True):
        raise InputError("the covariance of the pose is not valid", remedy="Run calibrate again.")
    # These matrices are small: on a busy machine the threads of BLAS wait for each other far longer than they work.
    with _blas().limit(limits=1, user_api="blas"):
        fit = _robust_fit(points, errors, predicted, reference[chosen], _block(shape, chosen), pose_covariance)
        expected, covariance = _predict(fit, chosen, reference, shape)
        return _frame_of(fit, expected, covariance, protocol, observed)


def rotation_response(protocol: Protocol, line: Line | None) -> np.ndarray:
    """How the frame rotates when expected points move: (3, 3n), rad per mm, in head axes.

    Row 0 (pitch) follows the line, or the whole constellation when ``line`` is None; rows 1 and 2 (roll, yaw) follow
    the generalised least squares pose of the whole constellation. Used to carry the points'
    covariance over to angles and faces.
    """
    response = _constellation_response(protocol)[:3]
    if line is None:
        return response
    names = protocol.constellation.names
    response = response.copy()
    response[0] = 0
    reference = protocol.constellation.reference_mm
    ends = [[names.index(name) for name in end] for end in line]
    start, end = (reference[i].mean(axis=0) for i in ends)
    forward, up = (end - start)[1:]
    length2 = forward**2 + up**2
    for indices, sign in zip(ends, (-1, 1), strict=True):
        for i in indices:
            response[0, 3 * i + 2] += sign * forward / length2 / len(indices)
            response[0, 3 * i + 1] -= sign * up / length2 / len(indices)
    return response


def pose_difference(protocol: Protocol, found: AnatomicalFrame, true: AnatomicalFrame) -> np.ndarray:
    """(7,) how the pose of ``found`` differs from that of ``true``, in head axes, as ``pose_covariance`` counts it.

    Generalised least squares over the expected positions of the whole constellation.
    """
    names = protocol.constellation.names
    moved = np.array([found.expected_mm[name] - true.expected_mm[name] for name in names])
    return _constellation_response(protocol) @ (moved @ true.axes.T / true.scale).ravel()


@lru_cache(maxsize=16)
def _constellation_response(protocol: Protocol) -> np.ndarray:
    """(7, 3n) change of the pose when points move, in head axes and mm."""
    jacobian = _pose_jacobian(protocol.constellation.reference_mm)
    weighted = np.linalg.solve(protocol.constellation.covariance_mm2, jacobian)
    return np.linalg.solve(jacobian.T @ weighted, weighted.T)


def _require_determined(observed: Sequence[Landmark], protocol: Protocol) -> None:
    """Raise InputError unless there are three points that are not collinear."""
    helpful = [name for name in protocol.constellation.names if name not in {landmark.name for landmark in observed}]
    remedy = f"Place more landmarks, for example {', '.join(helpful[:4])}." if helpful else "Check the landmarks."
    if len(observed) < FEWEST_LANDMARKS:
        raise InputError(
            f"only {len(observed)} landmarks are placed, at least {FEWEST_LANDMARKS} are needed", remedy=remedy
        )
    points = np.array([landmark.position_mm for landmark in observed])
    far = [landmark.name for landmark, point in zip(observed, points, strict=True) if not is_sensible(point)]
    if far:
        raise InputError(
            f"{shortened(far)} lies farther than {FARTHEST_MM:.0f} mm from the origin", remedy="Place it again."
        )
    _require_covariances(observed)
    _require_handedness(observed, protocol)
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) / np.sqrt(len(points))
    if spread[1] < SMALLEST_SPREAD_MM:
        raise InputError("the landmarks are nearly collinear, so the rotation is undetermined", remedy=remedy)


def _predicted_part(landmark: Landmark) -> np.ndarray:
    """(3, 3) projection, RAS, onto the directions in which the landmark is a prediction: all, none, or its depth."""
    if landmark.status != CORRECTED:
        return np.eye(3)
    free = landmark.free_direction
    return np.zeros((3, 3)) if free is None else np.outer(free, free)


def _require_covariances(observed: Sequence[Landmark]) -> None:
    """Raise InputError naming the landmarks whose uncertainty is none: from a damaged file it would end in the fit."""
    wrong = [landmark.name for landmark in observed if not is_covariance(landmark.covariance_mm2)]
    if wrong:
        raise InputError(f"the covariance of {shortened(wrong)} is not valid", remedy="Run calibrate again.")


def _require_handedness(observed: Sequence[Landmark], protocol: Protocol) -> None:
    """Raise InputError where the points that the user placed, or else all, lie as in the mirror image of a head."""
    placed = [landmark for landmark in observed if landmark.status == CORRECTED]
    judged = placed if len(placed) >= FEWEST_POINTS else observed
    reference = dict(zip(protocol.constellation.names, protocol.constellation.reference_mm, strict=True))
    points = np.array([landmark.position_mm for landmark in judged])
    if look_mirrored(points, np.array([reference[landmark.name] for landmark in judged])):
        raise InputError(
            "left and right look exchanged in the landmarks",
            remedy="Check the coordinate system of their file (RAS or LPS) and the names of the two sides.",
        )


def _robust_fit(
    points: np.ndarray,
    errors: np.ndarray,
    predicted: np.ndarray,
    reference: np.ndarray,
    shape: np.ndarray,
    pose_covariance: np.ndarray | None,
) -> _Fit:
    """Iteratively reweighted Gauss-Newton from a weighted Procrustes start; ``predicted`` (n, 3, 3) are projections."""
    pose = _procrustes(points, reference, 1 / np.trace(errors, axis1=1, axis2=2))
    weights = np.ones(len(points))
    jacobian = _pose_jacobian(reference)
    own_shape = np.array([shape[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] for i in range(len(points))])
    part, common = predicted, _common_error(jacobian, predicted, pose_covariance)
    # The projections onto all directions and onto none are the same in all axes.
    follows_pose = bool((np.trace(predicted, axis1=1, axis2=2).round() == 1).any())
    for iteration in range(ITERATIONS):
        residual = pose.to_head(points) - reference
        local = _in_head_axes(errors, pose) / pose.scale**2
        if follows_pose:
            part = _in_head_axes(predicted, pose)
            common = _common_error(jacobian, part, pose_covariance)
        limit = ROBUST_SCALE * (ANNEALING[iteration] if iteration < len(ANNEALING) else 1.0)
        weights = 1 / (1 + _distance2(residual, own_shape + local, part) / limit**2) ** 2
        # Only the predicted part of an outlier loses weight: what the user placed holds.
        inflated = local + (1 / weights - 1)[:, None, None] * (part @ local @ part)
        precision = np.linalg.inv(shape + common + _block_diagonal(inflated))
        weighted = precision @ jacobian
        prior = np.diag([0, 0, 0, 1 / LOG_SCALE_SD**2, 0, 0, 0])
        normal = jacobian.T @ weighted + prior
        gradient = weighted.T @ residual.ravel()
        gradient[3] -= np.log(pose.scale) / LOG_SCALE_SD**2
        step = np.linalg.solve(normal, gradient)
        pose = _moved(pose, step)
        if iteration > len(ANNEALING) and np.abs(step).max() < CONVERGED:
            break
    residual = pose.to_head(points) - reference
    return _Fit(pose, residual, precision, jacobian, normal, weights)


def _in_head_axes(matrices: np.ndarray, pose: _Pose) -> np.ndarray:
    """RAS matrices (n, 3, 3) in the axes of the head."""
    turned: np.ndarray = np.einsum("ji,njk,kl->nil", pose.rotation, matrices, pose.rotation)
    return turned


def _distance2(residual: np.ndarray, marginal: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(n,) squared residual (n, 3) per predicted direction, in variances: 0 for a landmark that the user placed.

    Args:
        marginal: (n, 3, 3) covariance of the residual.
        part: (n, 3, 3) projection onto the predicted directions.
    """
    directions = np.trace(part, axis1=1, axis2=2).round()
    placed = np.eye(3) - part
    # The covariance along the predicted directions, and 1 along the others, where the residual does not count.
    along = part @ marginal @ part + placed
    seen = (part @ residual[..., None])[..., 0]
    distance2: np.ndarray = np.einsum("ni,ni->n", seen, np.linalg.solve(along, seen[..., None])[..., 0])
    return distance2 / np.maximum(directions, 1)


def _common_error(jacobian: np.ndarray, part: np.ndarray, pose_covariance: np.ndarray | None) -> np.ndarray:
    """(3n, 3n) covariance of the error that the points share along their predicted directions ``part`` (n, 3, 3).

    Args:
        jacobian: (3n, 7), see ``_pose_jacobian``.
    """
    if pose_covariance is None:
        return np.zeros((len(jacobian),) * 2)
    shared = (part @ jacobian.reshape(-1, 3, 7)).reshape(-1, 7)
    return shared @ pose_covariance @ shared.T


def _pose_jacobian(points: np.ndarray) -> np.ndarray:
    """(3n, 7): change of head points (n, 3) by rotation about x, y, z (rad), log scale, translation (mm)."""
    n = len(points)
    jacobian = np.zeros((n, 3, 7))
    x, y, z = points.T
    zero = np.zeros(n)
    jacobian[:, :, 0] = np.stack([zero, -z, y], axis=1)
    jacobian[:, :, 1] = np.stack([z, zero, -x], axis=1)
    jacobian[:, :, 2] = np.stack([-y, x, zero], axis=1)
    jacobian[:, :, 3] = points
    jacobian[:, :, 4:] = np.eye(3)
    return jacobian.reshape(3 * n, 7)


def _moved(pose: _Pose, step: np.ndarray) -> _Pose:
    """The pose after a small change (7,) in head axes."""
    rotation = pose.rotation @ rotation_about(step[:3])
    return _Pose(
        rotation, pose.translation + pose.scale * pose.rotation @ step[4:], pose.scale * float(np.exp(step[3]))
    )


def _procrustes(points: np.ndarray, reference: np.ndarray, weights: np.ndarray) -> _Pose:
    """Weighted similarity that maps reference (n, 3) on points (n, 3) (Umeyama 1991)."""
    weights = weights / weights.sum()
    center, reference_center = weights @ points, weights @ reference
    a, b = points - center, reference - reference_center
    rotation = best_rotation(b, a, weights)
    scale = float(np.sqrt((weights @ (a**2).sum(axis=1)) / (weights @ (b**2).sum(axis=1))))
    return _Pose(rotation, center - scale * rotation @ reference_center, scale)


def _predict(fit: _Fit, chosen: np.ndarray, reference: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected head points (n, 3) of the whole constellation and their covariance (3n, 3n)."""
    rows = (3 * chosen[:, None] + np.arange(3)).ravel()
    gain = shape[:, rows] @ fit.precision
    expected = reference + (gain @ fit.residual.ravel()).reshape(-1, 3)
    # What the uncertainty of the pose adds, less the part that the observed points determine.
    lever = _pose_jacobian(reference) - gain @ fit.jacobian
    covariance = shape - gain @ shape[rows] + lever @ np.linalg.solve(fit.normal, lever.T)
    return expected, (covariance + covariance.T) / 2


def _frame_of(
    fit: _Fit, expected: np.ndarray, covariance: np.ndarray, protocol: Protocol, observed: Sequence[Landmark]
) -> AnatomicalFrame:
    names = protocol.constellation.names
    pose = fit.pose
    positions = dict(zip(names, pose.to_world(expected), strict=True))
    line = _placed_line(observed, protocol, pose.rotation[:, 2])
    axes = line_axes(pose.rotation.T, line, positions)
    origin = names.index(protocol.frame.origin)
    to_frame = np.vstack([rotation_response(protocol, line), np.zeros((3, 3 * len(names)))])
    to_frame[3:, 3 * origin : 3 * origin + 3] = np.eye(3) * pose.scale
    spread = np.kron(np.eye(len(names)), pose.scale * pose.rotation)
    alone = _left_out_residuals(fit) * pose.scale
    order = np.argsort(fit.weights)
    return AnatomicalFrame(
        origin_mm=positions[protocol.frame.origin],
        axes=axes,
        scale=pose.scale,
        covariance=to_frame @ covariance @ to_frame.T,
        expected_mm=positions,
        expected_covariance_mm2=spread @ covariance @ spread.T,
        residuals_mm={landmark.name: float(r) for landmark, r in zip(observed, alone, strict=True)},
        outliers=tuple(observed[i].name for i in order if fit.weights[i] < OUTLIER_WEIGHT),
        condition_number=float(np.linalg.cond(_scaled(fit.normal))),
        line=line,
    )


def _placed_line(observed: Sequence[Landmark], protocol: Protocol, superior: np.ndarray) -> Line | None:
    """The protocol's line where the user placed one of its landmarks along ``superior`` (3,) RAS, else None."""
    placed = {landmark.name for landmark in observed if landmark.status == CORRECTED and _is_placed(landmark, superior)}
    start, end = protocol.frame.line
    return protocol.frame.line if placed.intersection((*start, *end)) else None


def _is_placed(landmark: Landmark, direction: np.ndarray) -> bool:
    free = landmark.free_direction
    return free is None or bool(abs(free @ direction) < FREE_SUPERIOR)


def _left_out_residuals(fit: _Fit) -> np.ndarray:
    """(n,) distance in head space of each point from where the others predict it (leave-one-out prediction).

    For a block i the residual without it is ``(K_ii)^-1 (P r)_i`` with ``P`` the precision, ``r`` the residuals of
    the fit, and ``K`` the precision after removing the pose.
    """
    weighted = fit.precision @ fit.jacobian
    projected = fit.precision - weighted @ np.linalg.solve(fit.normal, weighted.T)
    pulled = (fit.precision @ fit.residual.ravel()).reshape(-1, 3)
    n = len(pulled)
    blocks = np.array([projected[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] for i in range(n)])
    return np.linalg.norm(np.linalg.solve(blocks + np.eye(3) * 1e-9, pulled[..., None])[..., 0], axis=1)


def _scaled(normal: np.ndarray) -> np.ndarray:
    """The normal matrix in units that make rotation (at 70 mm) and translation comparable."""
    units = np.array([70.0, 70.0, 70.0, 70.0, 1.0, 1.0, 1.0])
    return normal / np.outer(units, units)


def _block(covariance: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    rows = (3 * chosen[:, None] + np.arange(3)).ravel()
    return covariance[np.ix_(rows, rows)]


def _block_diagonal(blocks: np.ndarray) -> np.ndarray:
    """(3n, 3n) matrix with ``blocks`` (n, 3, 3) on its diagonal."""
    n = len(blocks)
    full = np.zeros((n, 3, n, 3))
    full[np.arange(n), :, np.arange(n), :] = blocks
    return full.reshape(3 * n, 3 * n)


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@dataclass(frozen=True, eq=False)
class AnatomicalFrame:
    """Position, orientation and size of the anatomy.

    Attributes:
        origin_mm: (3,) RAS.
        axes: (3, 3), rows are the right, anterior, superior unit vectors in RAS; det +1.
        scale: size of the head over the reference constellation's.
        covariance: (6, 6) of (rotation about right, anterior, superior in rad; translation along them in mm).
        expected_mm: where every landmark of the protocol lies according to the fit, name -> (3,) RAS,
            also for missing ones.
        expected_covariance_mm2: (3n, 3n) joint covariance of ``expected_mm`` in its order, RAS.
        residuals_mm: name -> distance between the observed position and the one predicted from the other landmarks
            (observed landmarks only).
        outliers: names of the landmarks that contradict the others, the worst first.
        condition_number: of the pose's normal matrix; large means that a direction is hardly determined.
        line: (from, to) landmark names through which the axes are drawn; None: they are the fitted constellation's.
    """

    origin_mm: np.ndarray
    axes: np.ndarray
    scale: float
    covariance: np.ndarray
    expected_mm: Mapping[str, np.ndarray] = field(default_factory=dict)
    expected_covariance_mm2: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    residuals_mm: Mapping[str, float] = field(default_factory=dict)
    outliers: tuple[str, ...] = ()
    condition_number: float = 1.0
    line: tuple[tuple[str, ...], tuple[str, ...]] | None = None
