"""Refusal of landmarks that do not determine a frame, or that look exchanged or damaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...anatomy.landmark import CORRECTED, Landmark
from ...anatomy.protocol import Protocol
from ...errors import InputError, shortened
from ...geometry.coordinates import FARTHEST_MM
from ...geometry.covariance import are_covariances
from ..handedness import FEWEST_POINTS, look_mirrored

#: Fewer do not determine a pose.
FEWEST_LANDMARKS = 3

#: Observed landmarks must spread at least this far (root mean square) in two directions.
SMALLEST_SPREAD_MM = 6.0


def require_determined(observed: Sequence[Landmark], protocol: Protocol) -> None:
    """Raise InputError unless there are three points that are not collinear."""
    helpful = [name for name in protocol.constellation.names if name not in {landmark.name for landmark in observed}]
    remedy = f"Place more landmarks, for example {', '.join(helpful[:4])}." if helpful else "Check the landmarks."
    if len(observed) < FEWEST_LANDMARKS:
        raise InputError(
            f"only {len(observed)} landmarks are placed, at least {FEWEST_LANDMARKS} are needed", remedy=remedy
        )
    points = np.array([landmark.position_mm for landmark in observed])
    far = _names_of(observed, ~(np.abs(points) <= FARTHEST_MM).all(axis=1))
    if far:
        raise InputError(
            f"{shortened(far)} lies farther than {FARTHEST_MM:.0f} mm from the origin", remedy="Place it again."
        )
    _require_covariances(observed)
    _require_handedness(observed, protocol)
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) / np.sqrt(len(points))
    if spread[1] < SMALLEST_SPREAD_MM:
        raise InputError("the landmarks are nearly collinear, so the rotation is undetermined", remedy=remedy)


def _require_covariances(observed: Sequence[Landmark]) -> None:
    """Raise InputError naming the landmarks whose uncertainty is none: from a damaged file it would end in the fit."""
    unknown = np.full((3, 3), np.nan)
    stated = [unknown if each.covariance_mm2 is None else each.covariance_mm2 for each in observed]
    wrong = _names_of(observed, ~are_covariances(np.array(stated)))
    if wrong:
        raise InputError(f"the covariance of {shortened(wrong)} is not valid", remedy="Run calibrate again.")


def _names_of(observed: Sequence[Landmark], chosen: np.ndarray) -> list[str]:
    """The names where ``chosen`` (n,) is true."""
    return [landmark.name for landmark, is_chosen in zip(observed, chosen, strict=True) if is_chosen]


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
