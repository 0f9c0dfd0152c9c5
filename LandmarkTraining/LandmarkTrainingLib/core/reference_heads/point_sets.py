"""Annotated points of many people, from files of any of the formats, and the refusal of those that cannot be pooled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.errors import InputError, shortened
from AutoVolumeCalibrationLib.core.geometry.rotations import best_rotation
from AutoVolumeCalibrationLib.core.planning.handedness import look_mirrored
from AutoVolumeCalibrationLib.core.storage.markups import read_landmarks

from .mean_shape import FEWEST_SHAPES
from .point_files import read_points
from .shape_frame import ShapeFrame, across_mm

#: Endings of the files, tables first.
ENDINGS = (".csv", ".fcsv", ".mrk.json", ".json")

#: Two people differ in size by less than this factor; a file in cm or in m by more.
LARGEST_SIZE_RATIO = 1.8

#: The heads of two patients are never turned against each other by more, as long as both are in RAS.
LARGEST_TURN_DEG = 100.0

#: A set may lack at most this share of the landmarks.
LARGEST_GAP = 0.5

_SYSTEM = "Check the coordinate system of the file (RAS or LPS) and the names of the sides."


@dataclass(frozen=True, eq=False)
class PointSet:
    """The points of one person: ``points`` name -> (3,) RAS mm; ``source`` is the file."""

    source: str
    points: Mapping[str, np.ndarray]


def read_point_sets(paths: Iterable[Path | str]) -> list[PointSet]:
    """One set of each file; a folder stands for all its point files.

    Tables (.csv: label, x, y, z) are in RAS mm; Slicer's files state their system.

    Raises:
        InputError: a folder without point files, a file that cannot be read or is of another format.
    """
    return [PointSet(str(path), _points(path)) for entry in paths for path in _files(Path(entry))]


def with_names_of(sets: Sequence[PointSet], names: Sequence[str]) -> tuple[list[PointSet], list[str]]:
    """The sets with the points that ``names`` lists, whatever their case, and the names of the others.

    Raises:
        InputError: a set has none of the landmarks.
    """
    spelled = {name.casefold(): name for name in names}
    kept, others = [], set()
    for each in sets:
        points = {spelled[name.casefold()]: at for name, at in each.points.items() if name.casefold() in spelled}
        if not points:
            raise InputError(
                f"has none of the landmarks {shortened(list(names))}, but {shortened(list(each.points))}",
                source=each.source,
                remedy="Name the points as the anatomy does.",
            )
        others |= {name for name in each.points if name.casefold() not in spelled}
        kept.append(replace(each, points=points))
    return kept, sorted(others)


def common_names(sets: Sequence[PointSet]) -> list[str]:
    """The names of all points, each once, in the order of the files and the spelling that comes first.

    Raises:
        InputError: a name that only one or two of many sets have is a misspelling, and cannot be measured.
    """
    spelled: dict[str, str] = {}
    for each in sets:
        for name in each.points:
            spelled.setdefault(name.casefold(), name)
    for key, name in spelled.items():
        having = [each.source for each in sets if key in {other.casefold() for other in each.points}]
        if len(having) < min(FEWEST_SHAPES, len(sets)):
            raise InputError(
                f"{name} is in {len(having)} of {len(sets)} files only",
                source=having[0],
                remedy="Name the points alike in all files, or leave this one out.",
            )
    return list(spelled.values())


def require_alike(
    sets: Sequence[PointSet],
    names: Sequence[str],
    mirror: np.ndarray,
    frame: ShapeFrame,
    reference_mm: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Refuse sets that cannot be of the same anatomy in RAS mm, naming the file.

    Args:
        names, mirror: of the landmarks, as for ``align_shapes``.
        reference_mm: name -> (3,) of a typical individual, if known; else the sets are compared with each other.

    Raises:
        InputError: fewer than FEWEST_SHAPES sets, the same points twice, a set lacks points of the frame or half of
            all, its size is another unit's, or it is mirrored or turned against the others.
    """
    if len(sets) < FEWEST_SHAPES:
        raise InputError(
            f"the points of {len(sets)} people are too few to measure how people differ",
            remedy=f"Give the files of at least {FEWEST_SHAPES}.",
        )
    _require_different(sets)
    for each in sets:
        _require_complete(each, names, frame)
    compared = reference_mm or max(sets, key=lambda each: len(each.points)).points
    _require_sizes(sets, compared, known=reference_mm is not None)
    for each in sets:
        _require_sides(each, names, mirror)
    turned = [_odd_pose(each.points, compared) for each in sets]
    _refuse_odd(sets, turned, known=reference_mm is not None)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.iterdir() if each.name.lower().endswith(ENDINGS))
    if not found:
        raise InputError("has no point files", source=str(path), remedy=f"They end with {', '.join(ENDINGS)}.")
    return found


def _points(path: Path) -> dict[str, np.ndarray]:
    if path.suffix.lower() == ".csv":
        return read_points(path)
    if not path.name.lower().endswith(ENDINGS):
        raise InputError(
            "is not a point file", source=str(path), remedy=f"Give files that end with {', '.join(ENDINGS)}."
        )
    return {point.name: point.position_mm for point in read_landmarks(path) if point.position_mm is not None}


def _require_different(sets: Sequence[PointSet]) -> None:
    """A file given twice would make people look more alike than they are."""
    seen: dict[tuple[tuple[str, bytes], ...], str] = {}
    for each in sets:
        content = tuple(sorted((name, np.round(at, 3).tobytes()) for name, at in each.points.items()))
        if content in seen:
            raise InputError(
                f"holds the same points as {seen[content]}", source=each.source, remedy="Give every person once."
            )
        seen[content] = each.source


def _require_complete(each: PointSet, names: Sequence[str], frame: ShapeFrame) -> None:
    absent = [name for name in frame.landmarks if name not in each.points]
    if absent:
        raise InputError(
            f"has no {shortened(absent)}, on which the axes rest",
            source=each.source,
            remedy="Place it, or leave the file out.",
        )
    missing = [name for name in names if name not in each.points]
    if len(missing) > LARGEST_GAP * len(names):
        raise InputError(
            f"lacks {len(missing)} of {len(names)} landmarks: {shortened(missing)}",
            source=each.source,
            remedy="Place them, name them as the others do, or leave the file out.",
        )


def _require_sizes(sets: Sequence[PointSet], compared: Mapping[str, np.ndarray], *, known: bool) -> None:
    ratios = np.array([_size_ratio(each.points, compared) for each in sets])
    usual = 1.0 if known else float(np.median(ratios))
    for each, ratio in zip(sets, ratios / usual, strict=True):
        if not 1 / LARGEST_SIZE_RATIO < ratio < LARGEST_SIZE_RATIO:
            raise InputError(
                f"is {ratio:.2g} times as large as {'the anatomy' if known else 'the others'}",
                source=each.source,
                remedy="Coordinates are in mm; check the unit and the names.",
            )


def _require_sides(each: PointSet, names: Sequence[str], mirror: np.ndarray) -> None:
    shape = np.array([each.points.get(name, np.full(3, np.nan)) for name in names])
    if across_mm(shape, names, mirror)[0] < 0:
        raise InputError("has its right landmarks on the left", source=each.source, remedy=_SYSTEM)


def _odd_pose(points: Mapping[str, np.ndarray], compared: Mapping[str, np.ndarray]) -> str:
    """What is wrong with the pose of the points against others, in words; empty where nothing is."""
    a, b = _shared(points, compared)
    if look_mirrored(a, b):
        return "is the mirror image of"
    turn = best_rotation(b - b.mean(axis=0), a - a.mean(axis=0), np.ones(len(a)))
    angle = np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    return f"is turned by {angle:.0f} deg against" if angle > LARGEST_TURN_DEG else ""


def _refuse_odd(sets: Sequence[PointSet], found: Sequence[str], *, known: bool) -> None:
    odd = [bool(text) for text in found]
    if not any(odd):
        return
    if not known and sum(odd) > len(sets) / 2:
        # Most differ from the set that they were compared with: it is that one.
        right = odd.index(False)
        text = next(text for text in found if text)
        raise InputError(f"{text} most of the others", source=sets[right].source, remedy=_SYSTEM)
    first = odd.index(True)
    whom = "the anatomy" if known else "the others"
    raise InputError(f"{found[first]} {whom}", source=sets[first].source, remedy=_SYSTEM)


def _size_ratio(points: Mapping[str, np.ndarray], compared: Mapping[str, np.ndarray]) -> float:
    a, b = (np.sqrt(((each - each.mean(axis=0)) ** 2).sum()) for each in _shared(points, compared))
    return float(a / b) if b else np.inf


def _shared(points: Mapping[str, np.ndarray], compared: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    names = [name for name in points if name in compared]
    return np.array([points[name] for name in names]), np.array([compared[name] for name in names])
