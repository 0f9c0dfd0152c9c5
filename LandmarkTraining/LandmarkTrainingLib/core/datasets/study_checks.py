"""Checks of a single study: its names, and its points against its slices and the anatomy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.errors import InputError, shortened
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR, WARNING
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack

from ..reference_heads.truth import true_frame
from .file_pairs import points_in
from .findings import Finding

#: Pixels and fields of view outside of these ranges are in another unit, or not those of a patient's scout.
PIXEL_RANGE_MM = (0.1, 6.0)
FIELD_RANGE_MM = (60.0, 700.0)

#: Points of two names that lie nearer than this are one point.
SAME_POSITION_MM = 0.5

#: How far from a slice a landmark is still detected on it, however near the slices lie (fall-off of the targets).
DETECTABLE_MM = 12.0

#: A point that is further than the slice spacing plus this from every slice with it in the field of view is not in the
#: scanned body part, but a mistake.
OUTSIDE_MM = 60.0

#: Similarity (difflib ratio) from which an unknown name counts as a misspelt name of the protocol.
NEAR_NAME = 0.75

#: Points nearer than this to their fitted positions are not reported: anatomies differ by as much, and more than the
#: constellation of few heads covers (15 real heads had outliers of up to 4 mm, heads warped at random of up to 12 mm).
SUSPICIOUS_MM = 8.0

#: A pair whose sides differ less than this along the right axis does not determine left and right.
CLEAR_SIDE_MM = 5.0

#: A frame whose right axis leans further than this (cosine) from the patient's right was misled by swapped names.
UPRIGHT_COSINE = 0.5


def check_scouts(study: str, stacks: Sequence[ScoutStack]) -> Iterator[Finding]:
    """Implausible spacings and fields of view."""
    for stack in stacks:
        for one in stack.slices:
            sizes = (*one.spacing_mm, *one.extent_mm)
            low = np.array([PIXEL_RANGE_MM[0]] * 2 + [FIELD_RANGE_MM[0]] * 2)
            high = np.array([PIXEL_RANGE_MM[1]] * 2 + [FIELD_RANGE_MM[1]] * 2)
            if (sizes < low).any() or (sizes > high).any():
                yield Finding(
                    ERROR,
                    study,
                    f"{stack.plane} pixels of {one.spacing_mm[0]:.3g} x {one.spacing_mm[1]:.3g} mm make a field of "
                    f"view of {one.extent_mm[0]:.3g} x {one.extent_mm[1]:.3g} mm, which is implausible for a scout",
                    "Export the images with their true spacing in mm.",
                )
                break


def check_names(study: str, landmarks: Sequence[Landmark], protocol: Protocol) -> Iterator[Finding]:
    """Names that are not in the protocol: the point of a misspelt name would be lost."""
    known = protocol.constellation.names
    by_upper = {name.upper(): name for name in known}
    unknown = []
    for name in (landmark.name for landmark in landmarks if landmark.name not in known):
        near = difflib.get_close_matches(name.upper(), by_upper, n=1, cutoff=NEAR_NAME)
        if near:
            remedy = f"Rename it to {by_upper[near[0]]}, or remove it."
            yield Finding(ERROR, study, f"{name} is not a landmark of {protocol.name}", remedy)
        else:
            unknown.append(name)
    if unknown:
        are = "are not landmarks" if len(unknown) > 1 else "is not a landmark"
        yield Finding(
            WARNING,
            study,
            f"{shortened(unknown)} {are} of {protocol.name} and will not be learnt",
            f"Remove them, or train with a protocol that has them. {protocol.name} has: {', '.join(known)}.",
        )


def check_positions(study: str, landmarks: Sequence[Landmark], stacks: Sequence[ScoutStack]) -> Iterator[Finding]:
    """Points that coincide, lie outside of all images, or far from every slice."""
    points = points_in(landmarks)
    for (one, first), (other, second) in combinations(points.items(), 2):
        if np.linalg.norm(first - second) < SAME_POSITION_MM:
            yield Finding(WARNING, study, f"{one} and {other} lie at the same position", "Move or remove one of them.")
    beyond_mm = dict(zip(points, _beyond_slices_mm(list(points.values()), stacks), strict=True))
    outside = [name for name, distance in beyond_mm.items() if distance > OUTSIDE_MM]
    between = [name for name, distance in beyond_mm.items() if 0 < distance <= OUTSIDE_MM]
    if outside:
        yield Finding(
            ERROR,
            study,
            f"outside of every image: {shortened(outside)}",
            "Move them. If all points are outside, they are in other coordinates (LPS for RAS) or of other scouts.",
        )
    if between:
        yield Finding(
            WARNING,
            study,
            f"further from every slice than slices lie from each other: {shortened(between)}",
            "Check that they belong to these scouts; a network cannot see them there.",
        )


def check_anatomy(study: str, landmarks: Sequence[Landmark], protocol: Protocol) -> Iterator[Finding]:
    """Left and right swapped, and points that contradict the others."""
    points = points_in(landmarks)
    known = [landmark for landmark in landmarks if landmark.name in protocol.constellation.names]
    try:
        frame = true_frame(known, protocol)
    except InputError:  # too few points for a frame: not an error of the study
        frame = None
    swapped = _swapped_pairs(points, protocol, _right_axis(frame))
    for left, right in swapped:
        yield Finding(
            ERROR,
            study,
            f"{left} and {right} are swapped: left is on the right",
            "Swap their names; where all pairs are swapped, check that the images were not mirrored on the way.",
        )
    apart_mm = {name: frame.residuals_mm[name] for name in frame.outliers} if frame else {}
    suspicious = [
        f"{name} ({distance:.0f} mm)"
        for name, distance in sorted(apart_mm.items(), key=lambda item: -item[1])
        if distance > SUSPICIOUS_MM and not any(name in pair for pair in swapped)
    ]
    if suspicious:
        yield Finding(
            WARNING,
            study,
            f"far from where the other points and the anatomy of {protocol.name} predict them: {shortened(suspicious)}",
            "Review them: they may be misplaced, or have another point's name.",
        )


def _beyond_slices_mm(positions: Sequence[np.ndarray], stacks: Sequence[ScoutStack]) -> np.ndarray:
    """(n,) distance of n points (3,) from the nearest slice with them in its field of view, less the slice spacing, mm.

    Negative near a slice, infinite where no field of view has the point.
    """
    points = np.array(positions, dtype=float).reshape(-1, 3)
    beyond = np.full(len(points), np.inf)
    for stack in stacks:
        depths_mm = points @ stack.normal
        spacing_mm = _spacing_mm(stack)
        for one, position_mm in zip(stack.slices, stack.positions_mm, strict=True):
            pixels = one.to_pixel(points)
            in_field = ((pixels >= -0.5) & (pixels <= np.array(one.pixels.shape) - 0.5)).all(axis=1)
            off_mm = np.where(in_field, np.abs(depths_mm - position_mm) - spacing_mm, np.inf)
            beyond = np.minimum(beyond, off_mm)
    return beyond


def _spacing_mm(stack: ScoutStack) -> float:
    """Distance between neighbouring slices, at least ``DETECTABLE_MM``."""
    return float(max(np.diff(stack.positions_mm).max(initial=0.0), DETECTABLE_MM))


def _right_axis(frame: AnatomicalFrame | None) -> np.ndarray:
    """(3,) the patient's right axis; the world's, which is nearly the same, if swapped names reversed the fit."""
    world = np.eye(3)[0]
    return frame.axes[0] if frame is not None and frame.axes[0] @ world > UPRIGHT_COSINE else world


def _swapped_pairs(points: Mapping[str, np.ndarray], protocol: Protocol, right: np.ndarray) -> list[tuple[str, str]]:
    """(left name, right name) of the pairs whose order is reversed against the reference."""
    rightward = {landmark.name: landmark.reference_mm[0] for landmark in protocol.constellation.landmarks}
    pairs = [
        (landmark.name, landmark.mirror)
        for landmark in protocol.constellation.landmarks
        if landmark.mirror is not None
        and landmark.mirror in points
        and landmark.name in points
        and rightward[landmark.name] < rightward[landmark.mirror]
    ]
    return [(left, other) for left, other in pairs if (points[other] - points[left]) @ right < -CLEAR_SIDE_MM]
