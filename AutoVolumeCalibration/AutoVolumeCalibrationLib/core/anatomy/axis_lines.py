"""Axes along lines through landmarks: right through two condyles, superior along a shaft, or both at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ProtocolError
from ..geometry.coordinates import unit
from ..geometry.rotations import rotation_about

#: Names of the axes of a frame and of a box, in the order of their rows and sizes.
BOX_AXES = ("right", "anterior", "superior")

#: (from, to): the line runs from the mean of the first landmarks to the mean of the second.
Line = tuple[tuple[str, ...], tuple[str, ...]]

#: A line whose part across the axis that the others turn about is shorter has no direction, mm.
SHORTEST_MM = 1e-3


@dataclass(frozen=True)
class AxisLine:
    """An axis runs along a line.

    Attributes:
        axis: name of the axis; line: from -> to is its positive direction.
        about: the axes turn about this axis alone, so that ``axis`` runs along the line's part across it. None: by the
            shortest way, so that it runs along the line itself; for the second of two lines: about the first one's
            axis.
    """

    axis: str
    line: Line
    about: str | None = None


def along_lines(axes: np.ndarray, lines: Sequence[AxisLine], landmarks_mm: Mapping[str, np.ndarray]) -> np.ndarray:
    """Axes (3, 3), rows right, anterior, superior in RAS, turned until they run along one or two lines.

    The first line is followed exactly; the second as far as that allows.

    Args:
        landmarks_mm: name -> (3,) RAS of every landmark of the lines.

    Raises:
        ProtocolError: a line has no direction.
    """
    axes = np.asarray(axes, dtype=float)
    for number, each in enumerate(lines):
        about = each.about or (lines[0].axis if number else None)
        axes = _turned(axes, each, about, landmarks_mm)
    return axes


def line_direction(line: Line, landmarks_mm: Mapping[str, np.ndarray]) -> np.ndarray:
    """(3,) mm from the mean of the first landmarks to the mean of the second."""
    start, end = (np.mean([landmarks_mm[name] for name in names], axis=0) for names in line)
    direction: np.ndarray = end - start
    return direction


def _turned(axes: np.ndarray, each: AxisLine, about: str | None, landmarks_mm: Mapping[str, np.ndarray]) -> np.ndarray:
    direction = line_direction(each.line, landmarks_mm)
    if about is not None:
        pivot = axes[BOX_AXES.index(about)]
        direction = direction - (direction @ pivot) * pivot
    if np.linalg.norm(direction) < SHORTEST_MM:
        across = f" across the {about} axis" if about else ""
        raise ProtocolError(
            f"the line from {', '.join(each.line[0])} to {', '.join(each.line[1])} has no direction{across}",
            remedy="Choose other landmarks or move them apart.",
        )
    now, wanted = axes[BOX_AXES.index(each.axis)], unit(direction)
    cross = np.cross(now, wanted)
    sine = float(np.linalg.norm(cross))
    angle = float(np.arctan2(sine, now @ wanted))
    if about is not None:
        vector = pivot * angle * (1.0 if cross @ pivot >= 0 else -1.0)
    elif sine < 1e-12:
        vector = np.zeros(3)
    else:
        vector = cross / sine * angle
    turned: np.ndarray = axes @ rotation_about(vector).T
    return turned


def response_of_lines(
    axes: np.ndarray, lines: Sequence[AxisLine], landmarks_mm: Mapping[str, np.ndarray], follows: np.ndarray
) -> np.ndarray:
    """(3, n, 3) rotation vector, RAS rad, of ``along_lines(axes, lines, landmarks_mm)`` per mm of each landmark.

    By central differences, which the few landmarks of two lines make cheap.

    Args:
        landmarks_mm: of all n landmarks.
        follows: (3, n, 3) the same of ``axes``.
    """
    result = along_lines(axes, lines, landmarks_mm)
    # What the lines leave of a rotation of the axes before they are turned.
    left = np.stack(
        [
            _difference(result, *(along_lines(axes @ rotation_about(s * v).T, lines, landmarks_mm) for s in (1, -1)))
            for v in _STEP_RAD * np.eye(3)
        ],
        axis=1,
    )
    response: np.ndarray = np.einsum("ij,jnk->ink", left / (2 * _STEP_RAD), follows)
    named = {name for each in lines for end in each.line for name in end}
    for i, (name, place) in enumerate(landmarks_mm.items()):
        if name not in named:
            continue
        for k, step in enumerate(_STEP_MM * np.eye(3)):
            moved = (along_lines(axes, lines, {**landmarks_mm, name: place + s * step}) for s in (1, -1))
            response[:, i, k] += _difference(result, *moved) / (2 * _STEP_MM)
    return response


#: Steps of the central differences: far above rounding, far below what curves.
_STEP_RAD, _STEP_MM = 1e-4, 1e-2


def _difference(axes: np.ndarray, plus: np.ndarray, minus: np.ndarray) -> np.ndarray:
    """(3,) small rotation vector from ``minus`` to ``plus``, axes (3, 3) near to ``axes``, RAS."""
    turn = ((plus - minus).T @ axes) / 2
    vector: np.ndarray = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return vector
