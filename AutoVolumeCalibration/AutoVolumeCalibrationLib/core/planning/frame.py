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
pitched against the axes by what the anatomy states of it (``AnatomicalFrame.line_pitch_sd_rad``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy.landmark import CORRECTED, MISSING, Landmark
from ..anatomy.protocol import Line, Protocol, line_axes
from ..errors import InputError
from ..geometry.covariance import is_covariance
from .fit.anatomical_frame import AnatomicalFrame
from .fit.determined import FEWEST_LANDMARKS, require_determined
from .fit.prediction import condition_number, left_out_residuals, predict
from .fit.response import pose_difference, rotation_response
from .fit.robust_fit import Fit, robust_fit

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = [
    "FEWEST_LANDMARKS",
    "OUTLIER_WEIGHT",
    "AnatomicalFrame",
    "fit_frame",
    "pose_difference",
    "rotation_response",
]

#: A landmark with less than this robust weight is named an outlier.
OUTLIER_WEIGHT = 0.25

#: The line follows a landmark that the user placed along the head's superior axis: its free direction's component
#: along that axis is smaller than this. A point placed in an axial slice says nothing about the pitch.
FREE_SUPERIOR = 0.7


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
    require_determined(observed, protocol)
    chosen = np.array([index[landmark.name] for landmark in observed])
    points = np.array([landmark.position_mm for landmark in observed])
    errors = np.array([landmark.covariance_mm2 for landmark in observed])
    predicted = np.array([_predicted_part(landmark) for landmark in observed])
    reference, shape = constellation.reference_mm, constellation.covariance_mm2
    if pose_covariance is not None and not is_covariance(pose_covariance, semidefinite=True):
        raise InputError("the covariance of the pose is not valid", remedy="Run calibrate again.")
    # These matrices are small: on a busy machine the threads of BLAS wait for each other far longer than they work.
    with _blas().limit(limits=1, user_api="blas"):
        fit = robust_fit(points, errors, predicted, reference[chosen], _block(shape, chosen), pose_covariance)
        expected, covariance = predict(fit, chosen, reference, shape)
        return _frame_of(fit, expected, covariance, protocol, observed)


def _predicted_part(landmark: Landmark) -> np.ndarray:
    """(3, 3) projection, RAS, onto the directions in which the landmark is a prediction: all, none, or its depth."""
    if landmark.status != CORRECTED:
        return np.eye(3)
    free = landmark.free_direction
    return np.zeros((3, 3)) if free is None else np.outer(free, free)


def _frame_of(
    fit: Fit, expected: np.ndarray, covariance: np.ndarray, protocol: Protocol, observed: Sequence[Landmark]
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
    alone = left_out_residuals(fit) * pose.scale
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
        condition_number=condition_number(fit),
        line=line,
        line_pitch_sd_rad=0.0 if line else protocol.constellation.line_pitch_sd_rad(protocol.frame.line),
    )


def _placed_line(observed: Sequence[Landmark], protocol: Protocol, superior: np.ndarray) -> Line | None:
    """The protocol's line where the user placed one of its landmarks along ``superior`` (3,) RAS, else None."""
    placed = {landmark.name for landmark in observed if landmark.status == CORRECTED and _is_placed(landmark, superior)}
    start, end = protocol.frame.line
    return protocol.frame.line if placed.intersection((*start, *end)) else None


def _is_placed(landmark: Landmark, direction: np.ndarray) -> bool:
    free = landmark.free_direction
    return free is None or bool(abs(free @ direction) < FREE_SUPERIOR)


def _block(covariance: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    rows = (3 * chosen[:, None] + np.arange(3)).ravel()
    return covariance[np.ix_(rows, rows)]


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
