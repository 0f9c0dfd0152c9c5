"""What one exam shows of the habit: tilts, margins and slices of its planned series, against the head's own frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.axis_lines import along_lines
from AutoVolumeCalibrationLib.core.anatomy.box_side import on_side
from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES, BoxRule, Protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, OrientedBox
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.planning.margins import margin_beyond_mm
from AutoVolumeCalibrationLib.core.planning.protocol_editing import tilt_between_deg
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy
from AutoVolumeCalibrationLib.core.storage.results import box_from_dict

from ..from_archive import REFERENCE_BOX
from ..planned_series import REFERENCE_SERIES, PlannedSeries, planned_series_from_dict

_AGAIN = "Build the data set from the archive again."


@dataclass(frozen=True, eq=False)
class PlannedExam:
    """One exam: the frame of its head, the box of its planned series, and the slices where they are known."""

    name: str
    frame: AnatomicalFrame
    box: OrientedBox
    series: PlannedSeries | None = None


@dataclass(frozen=True, eq=False)
class ExamHabit:
    """How one exam was planned.

    Attributes:
        tilt_deg: (3,) about right, anterior, superior, against the axes of the protocol's box.
        margin_mm: face -> mm beyond the outermost of its landmarks.
        length_mm: face -> mm from the middle of what a fixed field of view lies about (``anchor_of``).
        size_mm: (3,) of the box along right, anterior, superior.
        series: its slices; None in a data set that does not keep them.
    """

    name: str
    tilt_deg: np.ndarray
    margin_mm: Mapping[str, float]
    length_mm: Mapping[str, float]
    size_mm: np.ndarray
    series: PlannedSeries | None


def planned_exam(study: LabelledStudy, frame: AnatomicalFrame) -> PlannedExam:
    """The exam of a study that was built from an archive.

    Raises:
        InputError: it keeps no reference box, or its provenance is damaged.
    """
    box, series = study.provenance.get(REFERENCE_BOX), study.provenance.get(REFERENCE_SERIES)
    if box is None:
        raise InputError("has no reference box", remedy=_AGAIN)
    try:
        found = planned_series_from_dict(series) if series is not None else None
        return PlannedExam(study.name, frame, box_from_dict(box), found)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("its reference box is damaged", remedy=_AGAIN) from error


def measure(exam: PlannedExam, protocol: Protocol, rule: BoxRule, side: str = "") -> ExamHabit:
    """The habit that the exam shows, in terms of ``rule``.

    Args:
        side: of the body that the result is for; an exam of the other side counts as its mirror image, where the rule
            is written for one side.
    """
    frame, box = exam.frame, exam.box
    own = on_side(rule, frame.side, protocol.constellation)
    places = frame.expected_mm
    tilt = tilt_between_deg(along_lines(frame.axes, own.axis_lines, places), box.axes)
    margin = {face: margin_beyond_mm(box, face, [places[n] for n in own.faces[face].landmarks]) for face in FACES}
    middles = [np.mean([places[name] for name in anchor_of(own, axis)], axis=0) for axis in BOX_AXES]
    length = {face: margin_beyond_mm(box, face, [middles[FACES.index(face) // 2]]) for face in FACES}
    habit = ExamHabit(exam.name, tilt, margin, length, box.size_mm, exam.series)
    return _mirrored(habit) if rule.side and {frame.side, side} == {"left", "right"} else habit


def anchor_of(rule: BoxRule, axis: str) -> tuple[str, ...]:
    """What a fixed field of view along an axis lies about: the rule's own anchor, else the landmarks of both faces."""
    low = 2 * BOX_AXES.index(axis)
    faces = [rule.faces[face] for face in FACES[low : low + 2]]
    anchors = [name for face in faces for name in face.anchor]
    return tuple(dict.fromkeys(anchors or [name for face in faces for name in face.landmarks]))


def _mirrored(habit: ExamHabit) -> ExamHabit:
    return replace(
        habit,
        tilt_deg=habit.tilt_deg * (1, -1, -1),
        margin_mm=_exchanged(habit.margin_mm),
        length_mm=_exchanged(habit.length_mm),
    )


def _exchanged(of_face: Mapping[str, float]) -> dict[str, float]:
    return {**of_face, "left": of_face["right"], "right": of_face["left"]}
