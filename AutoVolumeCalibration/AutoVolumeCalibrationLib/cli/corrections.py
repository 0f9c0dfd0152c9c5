"""Which landmarks of a point file the user placed or changed: they take precedence over the model's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
    from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
    from AutoVolumeCalibrationLib.core.storage.markups import MarkupPoint

#: A point that lies further than this from its prediction was moved.
MOVED_MM = 0.01


@dataclass(frozen=True)
class Corrections:
    """Landmarks that the user placed or marked missing, and notes about the file they came from."""

    landmarks: tuple[Landmark, ...] = ()
    notes: tuple[str, ...] = ()


def placed_points(paths: Sequence[Path], protocol: Protocol) -> Corrections:
    """The points of some files to keep fixed before any model has run.

    A landmark file of ours lists the model's predictions too. Of these only locked ones count: the others
    would carry every error of the earlier model over.

    Raises:
        InputError: the file cannot be read, or no point is a landmark of the protocol.
    """
    from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark

    points, notes = _points_of(paths, protocol)
    visible = sum(point.position_mm is not None for point in points)
    placed = [
        Landmark(point.name).corrected(point.position_mm, point.covariance_mm2)
        for point in points
        if point.position_mm is not None and (point.locked or not _is_prediction(point))
    ]
    if len(placed) < visible:
        notes.append(
            f"{paths[0]}: {visible - len(placed)} points are predictions and will be detected again; "
            "lock a point to keep it, or use refit"
        )
    return Corrections(tuple(placed), tuple(notes))


def changed_points(
    paths: Sequence[Path], protocol: Protocol, predicted: Iterable[Landmark], landmarks: Iterable[Landmark]
) -> Corrections:
    """The corrections that the user made to the points of a plan.

    A point that was moved from its prediction, or locked, is a correction; one without a position was marked
    missing; an unlocked one at its prediction is not a correction, or not any more. A landmark that the file
    does not list stays as it was, and so does a correction that lies where it was: it may be one within a slice.

    Args:
        predicted: as the model found them.
        landmarks: as in the last plan, earlier corrections included.

    Raises:
        InputError: the file cannot be read, or no point is a landmark of the protocol.
    """
    from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark

    points, notes = _points_of(paths, protocol)
    found = {landmark.name: landmark for landmark in predicted}
    before = {landmark.name: landmark for landmark in landmarks}
    listed = {point.name for point in points}
    kept = [
        landmark
        for landmark in before.values()
        if landmark.name not in listed and landmark.status != found.get(landmark.name, Landmark(landmark.name)).status
    ]
    changed = [
        _change(point, found.get(point.name, Landmark(point.name)), before.get(point.name, Landmark(point.name)))
        for point in points
    ]
    return Corrections((*kept, *(landmark for landmark in changed if landmark is not None)), tuple(notes))


def _change(point: MarkupPoint, predicted: Landmark, before: Landmark) -> Landmark | None:
    """The correction that ``point`` makes to its prediction, if any; ``before`` is the landmark of the last plan."""
    from AutoVolumeCalibrationLib.core.anatomy.landmark import CORRECTED, MISSING, Landmark

    if point.position_mm is None:
        return Landmark(point.name) if predicted.status != MISSING else None
    if not (point.locked or _has_moved(point, predicted)):
        return None
    if before.status == CORRECTED and not _has_moved(point, before):
        return before
    return predicted.corrected(point.position_mm, point.covariance_mm2)


def _has_moved(point: MarkupPoint, landmark: Landmark) -> bool:
    """Whether the point, which has a position, lies elsewhere than the landmark."""
    import numpy as np

    if landmark.position_mm is None:
        return True
    return bool(np.linalg.norm(point.position_mm - landmark.position_mm) > MOVED_MM)


def _points_of(paths: Sequence[Path], protocol: Protocol) -> tuple[list[MarkupPoint], list[str]]:
    """The points of all files that are landmarks of the protocol, and notes where a file holds others.

    Raises:
        InputError: a file cannot be read or holds no landmark, or two files place the same one.
    """
    from AutoVolumeCalibrationLib.core.errors import InputError

    points: list[MarkupPoint] = []
    notes: list[str] = []
    for path in paths:
        own, note = _points_of_file(path, protocol)
        twice = sorted({point.name for point in own} & {point.name for point in points})
        if twice:
            raise InputError(
                f"places {', '.join(twice)}, as an earlier file does",
                source=str(path),
                remedy="Keep one point of each name.",
            )
        points += own
        notes += note
    return points, notes


def _points_of_file(path: Path, protocol: Protocol) -> tuple[list[MarkupPoint], list[str]]:
    """The points that are landmarks of the protocol, and a note where the file holds others."""
    from AutoVolumeCalibrationLib.core.errors import InputError, shortened
    from AutoVolumeCalibrationLib.core.storage.markups import named_like, read_landmarks

    names = protocol.constellation.names
    points = named_like(read_landmarks(path), names)
    unknown = [point.name for point in points if point.name not in names]
    if len(unknown) == len(points):
        what = f"none of its points ({shortened(unknown)}) is a landmark" if points else "holds no landmark"
        raise InputError(
            f"{what} of protocol {protocol.name}",
            source=str(path),
            remedy=f"Name the points as the protocol does, for example {', '.join(names[:3])}.",
        )
    notes = [f"{path}: points ignored, not in protocol {protocol.name}: {shortened(unknown)}"] if unknown else []
    return [point for point in points if point.name in names], notes


def _is_prediction(point: MarkupPoint) -> bool:
    """Does the point's description, as we write it, call it a prediction?"""
    from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED

    return f"[{PREDICTED}" in point.description
