"""What a plan shows of its own risk: quantities of which more always means more risk.

Landmarks that the user placed count as certain: found, clear, and in agreement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from ...anatomy.landmark import CORRECTED, MISSING, PREDICTED, Landmark
from ...anatomy.protocol import Protocol
from ...errors import InputError
from ...geometry.coordinates import rotation_angles_deg
from ...scouts.stack import ScoutStack
from ..frame import AnatomicalFrame, fit_frame

#: Names of the quantities that ``plan_features`` gives.
FEATURES = (
    "unclear",
    "unclear best",
    "faintest",
    "missing",
    "one plane",
    "residual",
    "outliers",
    "disagreement",
    "parts",
    "tilt",
    "size",
    "oblique",
    "sparse",
    "thick",
    "beside",
)

#: Thickness of slices whose source states none, mm.
USUAL_THICKNESS_MM = 6.0

#: Share of the landmarks that counts as the inner ones, and the largest angle between the frames of the two parts.
INNER_SHARE, MOST_BETWEEN_PARTS_DEG = 0.7, 15.0

#: The plane that shows most of the reference line.
SAGITTAL = "sagittal"

#: How many of the highest peaks say whether there is the anatomy at all.
BEST = 10

#: Which part of the landmarks counts as the faintest, and which of the planes' differences as the typical large one.
FAINT_SHARE, LARGE_SHARE = 0.25, 0.75

#: Smallest values whose logarithms are told apart: of a distance, mm, of a Birge ratio, and of an angle, deg.
LEAST_MM, LEAST_RATIO, LEAST_DEG = 0.5, 0.5, 0.1


def line_names(protocol: Protocol) -> tuple[str, ...]:
    """The landmarks at the ends of the protocol's reference line, each once."""
    return tuple(dict.fromkeys(name for end in protocol.frame.line for name in end))


def plan_features(
    landmarks: Sequence[Landmark],
    frame: AnatomicalFrame,
    stacks: Sequence[ScoutStack],
    birge_ratios: Mapping[str, float],
    protocol: Protocol,
    pose_covariance: np.ndarray | None = None,
) -> dict[str, float]:
    """The quantities named in FEATURES.

    - unclear: 1 minus the mean peak of the landmarks found; unclear best: of the ten highest peaks, where one that is
      missing counts as 0; faintest: 1 minus the lower quartile of those found.
    - missing: share of the landmarks that was not found; one plane: share of those found that a single plane shows.
    - residual: log of the median distance of the points from where the others expect them, over 0.5 mm.
    - outliers: share of the landmarks found that contradicts the others.
    - disagreement: log of the upper quartile of the Birge ratios of landmarks in several planes, over 0.5.
    - parts: log of 1 + the rotation, deg, between the frames of the inner and of the outer landmarks.
    - tilt: log of the largest stated standard deviation of pitch, roll and yaw, over 0.1 deg.
    - size: how far the log of the head's size over the reference's is from 0.
    - oblique: largest angle of a stack's normal to the nearest axis of the head, deg.
    - sparse: mean over the stacks of 1 / (number of slices); thick: their mean thickness, mm.
    - beside: distance of the frame's origin from the nearest sagittal slice, cm squared: on a slice beside the midline
      the structures that show the pitch fade with the square of the distance.

    Args:
        birge_ratios: ``detection.fusion.Fusion``; names of landmarks that the user placed are ignored.
        pose_covariance: as ``frame.fit_frame`` takes it.
    """
    found = [landmark for landmark in landmarks if landmark.status != MISSING]
    predicted = {landmark.name for landmark in found if landmark.status == PREDICTED}
    peaks = [1.0 if landmark.status == CORRECTED else landmark.confidence for landmark in found] or [0.0]
    residuals = [mm if name in predicted else 0.0 for name, mm in frame.residuals_mm.items()] or [0.0]
    ratios = [ratio for name, ratio in birge_ratios.items() if name in predicted] or [0.0]
    tilt_deg = float(np.rad2deg(np.sqrt(np.diagonal(frame.covariance)[:3].max())))
    aligned = min(float(np.abs(frame.axes @ stack.normal).max()) for stack in stacks)
    single = sum(landmark.name in predicted and len(landmark.planes) < 2 for landmark in found)
    parts_deg = _between_parts_deg(found, protocol, pose_covariance) * len(predicted) / max(1, len(found))
    return {
        "unclear": 1 - float(np.mean(peaks)),
        "unclear best": 1 - sum(sorted(peaks)[-BEST:]) / max(1, min(BEST, len(landmarks))),
        "faintest": 1 - float(np.quantile(peaks, FAINT_SHARE)),
        "missing": 1 - len(found) / max(1, len(landmarks)),
        "one plane": single / max(1, len(found)),
        "residual": _log_over(float(np.median(residuals)), LEAST_MM),
        "outliers": sum(name in predicted for name in frame.outliers) / max(1, len(found)),
        "disagreement": _log_over(float(np.quantile(ratios, LARGE_SHARE)), LEAST_RATIO),
        "parts": float(np.log1p(parts_deg)),
        "tilt": _log_over(tilt_deg, LEAST_DEG),
        "size": abs(float(np.log(frame.scale))),
        "oblique": float(np.rad2deg(np.arccos(min(1.0, aligned)))),
        "sparse": float(np.mean([1 / len(stack.slices) for stack in stacks])),
        "thick": float(np.mean([stack.slices[0].thickness_mm or USUAL_THICKNESS_MM for stack in stacks])),
        "beside": (_beside_mm(frame, stacks) / 10) ** 2,
    }


def _between_parts_deg(found: Sequence[Landmark], protocol: Protocol, pose_covariance: np.ndarray | None) -> float:
    """Rotation between the frames of the inner and of the outer landmarks, at most MOST_BETWEEN_PARTS_DEG.

    Where a part does not determine a frame it is that.
    """
    inner = _inner_names(protocol)
    parts = [[one for one in found if (one.name in inner) == inside] for inside in (True, False)]
    try:
        first, second = (fit_frame(part, protocol, pose_covariance) for part in parts)
    except InputError:
        return MOST_BETWEEN_PARTS_DEG
    return min(MOST_BETWEEN_PARTS_DEG, float(np.linalg.norm(rotation_angles_deg(first.axes, second.axes))))


@lru_cache(maxsize=16)
def _inner_names(protocol: Protocol) -> frozenset[str]:
    """The INNER_SHARE of the landmarks that lie next to the middle of the reference constellation."""
    reference = protocol.constellation.reference_mm
    order = np.argsort(np.linalg.norm(reference - reference.mean(axis=0), axis=1))
    return frozenset(protocol.constellation.names[i] for i in order[: int(INNER_SHARE * len(order))])


def _beside_mm(frame: AnatomicalFrame, stacks: Sequence[ScoutStack]) -> float:
    """Distance of the frame's origin from the nearest sagittal slice; from the nearest of all where there is none."""
    chosen = [stack for stack in stacks if stack.plane == SAGITTAL] or stacks
    slices = [one for stack in chosen for one in stack.slices]
    return min(abs(float((frame.origin_mm - one.origin_mm) @ one.normal)) for one in slices)


def _log_over(value: float, least: float) -> float:
    return float(np.log(max(value, least) / least))
