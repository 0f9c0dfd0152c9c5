"""How people's own lines, such as that along the rear of their condyles, lie against the axes fitted to their bones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.axis_lines import AxisLine, line_direction
from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation, LineVariation
from AutoVolumeCalibrationLib.core.anatomy.joint import RIGHT
from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import FrameRule, Protocol
from AutoVolumeCalibrationLib.core.geometry.coordinates import unit
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame

#: (bone whose axes they are, line): those that frames of protocols follow. The shaft, which leans outwards, is followed
#: in pitch alone, after the condyles.
LINES = (
    ("femur", AxisLine("right", (("COND_POST_L",), ("COND_POST_R",)))),
    ("femur", AxisLine("superior", (("FEMUR_SHAFT_LOW",), ("FEMUR_SHAFT_HIGH",)), "right")),
    ("tibia", AxisLine("right", (("PLATEAU_L",), ("PLATEAU_R",)))),
)

#: Standard deviation of landmarks that were measured, not detected, mm.
EXACT_MM = 0.01

_AXES = ("right", "anterior", "superior")


def own_lines(
    constellation: Constellation, people: Mapping[int, Sequence[Mapping[str, np.ndarray]]], origin: str
) -> list[LineVariation]:
    """The variation of LINES over people.

    The typical knee is fitted to all landmarks of each knee, as to detected ones, and the knee's own line compared with
    the axes of the bone. The deviation is the root mean square: where the typical knee's own line does not run along
    the axis, that is part of it. Unbiased for the number of people.

    A line whose landmarks nobody has is left out.

    Args:
        people: number -> landmarks of each visit, name -> (3,) mm of a right knee.
    """
    # Axes are those of one bone, so each bone's frame is fitted with a protocol of its own.
    frames = {part: _fitted(constellation, people, origin, part) for part in dict.fromkeys(p for p, _ in LINES)}
    factor = len(people) / (len(people) - 1)
    result = []
    for part, each in LINES:
        turns = [turns_rad(axes, each, knee) for axes, knee in frames[part] if _has(each, knee)]
        if not turns:
            continue
        sd_deg = np.rad2deg(np.sqrt(factor * np.mean(np.square(turns), axis=0)))
        pitch, roll, yaw = (round(float(sd), 2) for sd in sd_deg)
        result.append(LineVariation(each.line, pitch, len(people), roll, yaw, each.axis, part))
    return result


def turns_rad(axes: np.ndarray, each: AxisLine, landmarks_mm: Mapping[str, np.ndarray]) -> np.ndarray:
    """(3,) small rotation about right, anterior, superior that brings an axis of ``axes`` (3, 3) onto its line.

    A line that states the axis ``about`` which it is followed turns about that one alone.
    """
    along = _AXES.index(each.axis)
    direction = axes @ line_direction(each.line, landmarks_mm)
    if each.about:
        direction[_AXES.index(each.about)] = 0.0
    direction = unit(direction)
    axis = np.eye(3)[along]
    cross = np.cross(axis, direction)
    sine = float(np.linalg.norm(cross))
    if sine < 1e-12:
        return np.zeros(3)
    turn: np.ndarray = cross / sine * np.arctan2(sine, direction[along])
    return turn


def _fitted(
    constellation: Constellation, people: Mapping[int, Sequence[Mapping[str, np.ndarray]]], origin: str, part: str
) -> list[tuple[np.ndarray, Mapping[str, np.ndarray]]]:
    """Axes (3, 3) of the bone and landmarks of every knee."""
    line = next(each for bone, each in LINES if bone == part)
    frame = FrameRule(origin, line.line, (line,), {part: 1.0})
    protocol = Protocol("lines", "", "", constellation, frame, (), Path("lines"), side=RIGHT)
    knees = [knee for visits in people.values() for knee in visits]
    return [(fit_frame(_exact(knee), protocol).axes, knee) for knee in knees]


def _exact(knee: Mapping[str, np.ndarray]) -> list[Landmark]:
    return [Landmark(name, at, np.eye(3) * EXACT_MM**2, 1.0, PREDICTED) for name, at in knee.items()]


def _has(each: AxisLine, knee: Mapping[str, np.ndarray]) -> bool:
    return all(name in knee for end in each.line for name in end)
