"""What can be told wrong from one study alone: its names, its points against its slices, and against the anatomy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.planning.checks import ERROR, WARNING
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack

from ..reference_heads.truth import true_frame
from .file_pairs import points_in
from .findings import Finding

#: Pixels and fields of view outside of these ranges are in another unit, or no scout of a person.
PIXEL_RANGE_MM = (0.1, 6.0)
FIELD_RANGE_MM = (60.0, 700.0)

#: Points of two names that lie nearer than this are one point.
SAME_PLACE_MM = 0.5

#: How far from a slice a landmark is still told from it, however near the slices lie (fall-off of the targets).
SEEN_MM = 12.0

#: A point this much further from every slice that has it in its field of view than slices lie from each other is no
#: place in the scanned body part, but a mistake.
OUTSIDE_MM = 60.0

#: How alike (difflib ratio) a name must be to one of the protocol to be meant by it.
NEAR_NAME = 0.75

#: Points nearer than this to where the fit puts them are not doubted: anatomies differ by as much, and more than the
#: constellation of few heads knows (15 real heads had outliers of up to 4 mm, heads warped at random of up to 12 mm).
SUSPICIOUS_MM = 8.0

#: Points that a finding names; of more it tells the number.
NAMED_POINTS = 6

#: A pair whose sides differ less than this along the right axis says nothing about left and right.
CLEAR_SIDE_MM = 5.0

#: A frame whose right axis leans further than this (cosine) from the patient's right was led astray by swapped names.
UPRIGHT_COSINE = 0.5


def check_scouts(study: str, stacks: Sequence[ScoutStack]) -> Iterator[Finding]:
    """Spacings and fields of view that no scout has."""
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
                    f"view of {one.extent_mm[0]:.3g} x {one.extent_mm[1]:.3g} mm, which no scout has",
                    "Export the images with their true spacing in mm.",
                )
                break


def check_names(study: str, landmarks: Sequence[Landmark], protocol: Protocol) -> Iterator[Finding]:
    """Names that the protocol does not know: perhaps misspelt, then the point would be lost."""
    known = protocol.constellation.names
    by_upper = {name.upper(): name for name in known}
    unknown = []
    for name in (mark.name for mark in landmarks if mark.name not in known):
        near = difflib.get_close_matches(name.upper(), by_upper, n=1, cutoff=NEAR_NAME)
        if near:
            remedy = f"Rename it to {by_upper[near[0]]}, or remove it."
            yield Finding(ERROR, study, f"{name} is no landmark of {protocol.name}", remedy)
        else:
            unknown.append(name)
    if unknown:
        are = "are no landmarks" if len(unknown) > 1 else "is no landmark"
        yield Finding(
            WARNING,
            study,
            f"{_some(unknown)} {are} of {protocol.name}, nothing is learnt of them",
            f"Remove them, or train with a protocol that has them. {protocol.name} has: {', '.join(known)}.",
        )


def check_places(study: str, landmarks: Sequence[Landmark], stacks: Sequence[ScoutStack]) -> Iterator[Finding]:
    """Points on each other, outside of all images, or between no slices."""
    points = points_in(landmarks)
    for (one, first), (other, second) in combinations(points.items(), 2):
        if np.linalg.norm(first - second) < SAME_PLACE_MM:
            yield Finding(WARNING, study, f"{one} and {other} lie at the same place", "Move or remove one of them.")
    beyond_mm = dict(zip(points, _beyond_slices_mm(list(points.values()), stacks), strict=True))
    outside = [name for name, distance in beyond_mm.items() if distance > OUTSIDE_MM]
    between = [name for name, distance in beyond_mm.items() if 0 < distance <= OUTSIDE_MM]
    if outside:
        yield Finding(
            ERROR,
            study,
            f"outside of every image: {_some(outside)}",
            "Move them. Where all points are, they were saved in other coordinates (LPS for RAS) or for other scouts.",
        )
    if between:
        yield Finding(
            WARNING,
            study,
            f"further from every slice than slices lie from each other: {_some(between)}",
            "Check that they belong to these scouts; a network cannot see them there.",
        )


def check_anatomy(study: str, landmarks: Sequence[Landmark], protocol: Protocol) -> Iterator[Finding]:
    """Left and right swapped, and points that contradict the others."""
    points = points_in(landmarks)
    known = [mark for mark in landmarks if mark.name in protocol.constellation.names]
    try:
        frame = true_frame(known, protocol)
    except InputError:  # too few points to tell: no fault of the study
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
            f"far from where the other points and the anatomy of {protocol.name} put them: {_some(suspicious)}",
            "Look at them: they may be misplaced, or have another point's name.",
        )


def _beyond_slices_mm(places: Sequence[np.ndarray], stacks: Sequence[ScoutStack]) -> np.ndarray:
    """(n,) how much further than a slice spacing n points (3,) lie from the nearest slice that has them in its field.

    Negative near a slice, infinite where no field of view has the point.
    """
    points = np.array(places, dtype=float).reshape(-1, 3)
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
    """Distance between neighbouring slices, at least ``SEEN_MM``."""
    return float(max(np.diff(stack.positions_mm).max(initial=0.0), SEEN_MM))


def _right_axis(frame: AnatomicalFrame | None) -> np.ndarray:
    """(3,) the patient's right; where swapped names turned the fit round, the world's, which is the patient's too."""
    world = np.eye(3)[0]
    return frame.axes[0] if frame is not None and frame.axes[0] @ world > UPRIGHT_COSINE else world


def _swapped_pairs(points: Mapping[str, np.ndarray], protocol: Protocol, right: np.ndarray) -> list[tuple[str, str]]:
    """(left name, right name) of the pairs that lie the other way round than in the reference."""
    rightward = {mark.name: mark.reference_mm[0] for mark in protocol.constellation.landmarks}
    pairs = [
        (mark.name, mark.mirror)
        for mark in protocol.constellation.landmarks
        if mark.mirror in points and mark.name in points and rightward[mark.name] < rightward[mark.mirror]
    ]
    return [(left, other) for left, other in pairs if (points[other] - points[left]) @ right < -CLEAR_SIDE_MM]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED_POINTS} more" if len(names) > NAMED_POINTS else ""
    return ", ".join(names[:NAMED_POINTS]) + more
