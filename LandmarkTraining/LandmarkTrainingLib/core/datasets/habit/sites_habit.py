"""A site's habit: the medians of its exams without the outliers, and what it keeps from exam to exam."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES

from ..planned_series import PlannedSeries
from .exams import ExamHabit
from .outliers import Outlier, deviations, outlier_limit, robust_sd

#: What at least this share of the exams has in common, the site keeps; exams without it differ from the habit.
KEPT_SHARE = 0.75

#: Fields of view within this of the median are the same.
SAME_FOV_MM = 2.0

#: The sides that a box axis joins.
AXIS_IN_WORDS = {"right": "right-left", "anterior": "front-back", "superior": "head-foot"}

_Value = TypeVar("_Value")


@dataclass(frozen=True, eq=False)
class SiteHabit:
    """What the exams have in common. Medians and robust standard deviations of those that are not outliers.

    Attributes:
        exams: names of the exams that it rests on; outliers: the others, with what differs.
        limit: robust standard deviations beyond which a tilt or a margin makes an outlier.
        tilt_deg, tilt_sd_deg: about right, anterior, superior.
        margin_mm, margin_sd_mm: face -> mm beyond its landmarks.
        length_mm: face -> mm from what a fixed field of view lies about (``exams.anchor_of``).
        size_mm: axis -> median edge length of the box; kept: axes along which the site keeps it.
        slices: fewest, median and most; None where the data set does not keep them.
        series: the most frequent thickness, gap and axes, with the median number of slices; None likewise.
    """

    exams: tuple[str, ...]
    outliers: tuple[Outlier, ...]
    limit: float
    tilt_deg: tuple[float, float, float]
    tilt_sd_deg: tuple[float, float, float]
    margin_mm: Mapping[str, float]
    margin_sd_mm: Mapping[str, float]
    length_mm: Mapping[str, float]
    size_mm: Mapping[str, float]
    kept: frozenset[str]
    slices: tuple[int, int, int] | None
    series: PlannedSeries | None


def sites_habit(exams: Sequence[ExamHabit]) -> SiteHabit:
    """The habit behind at least three exams."""
    odd = _otherwise(exams)
    usual = [exam for number, exam in enumerate(exams) if number not in odd]
    tilts = np.array([exam.tilt_deg for exam in usual])
    margins = {face: [exam.margin_mm[face] for exam in usual] for face in FACES}
    kept = frozenset(axis for axis in BOX_AXES if _kept_size(exams, axis) is not None)
    series = [exam.series for exam in usual if exam.series]
    counts = sorted(each.slices for each in series)
    about_right, about_anterior, about_superior = map(float, np.median(tilts, axis=0))
    sd_right, sd_anterior, sd_superior = map(robust_sd, tilts.T)
    return SiteHabit(
        tuple(exam.name for exam in usual),
        tuple(Outlier(exams[number].name, tuple(reasons)) for number, reasons in sorted(odd.items())),
        outlier_limit(len(exams), len(_table(exams))),
        (about_right, about_anterior, about_superior),
        (sd_right, sd_anterior, sd_superior),
        {face: float(np.median(values)) for face, values in margins.items()},
        {face: robust_sd(values) for face, values in margins.items()},
        {face: float(np.median([exam.length_mm[face] for exam in usual])) for face in FACES},
        {axis: float(np.median([exam.size_mm[i] for exam in usual])) for i, axis in enumerate(BOX_AXES)},
        kept,
        (counts[0], counts[len(counts) // 2], counts[-1]) if counts else None,
        _usual_series(series, counts[len(counts) // 2]) if series else None,
    )


def _usual_series(series: Sequence[PlannedSeries], slices: int) -> PlannedSeries:
    stated = [each.phase_axis for each in series if each.phase_axis]
    slice_axis = _most_frequent([each.slice_axis for each in series])
    phase_axis = _most_frequent(stated) if stated else ""
    return PlannedSeries(
        slices,
        _most_frequent([each.slice_thickness_mm for each in series]),
        _most_frequent([each.gap_mm for each in series]),
        slice_axis,
        phase_axis if phase_axis != slice_axis else "",
    )


def _most_frequent(values: Sequence[_Value]) -> _Value:
    return Counter(values).most_common(1)[0][0]


def _otherwise(exams: Sequence[ExamHabit]) -> dict[int, list[str]]:
    """Exam number -> how it differs, in words."""
    table = _table(exams)
    found: dict[int, list[str]] = {}
    for number, names in deviations(table).items():
        for name in names:
            found.setdefault(number, []).append(_compared(name, table[name], number))
    for number, exam in enumerate(exams):
        reasons = _not_kept(exam, exams)
        if reasons:
            found.setdefault(number, []).extend(reasons)
    return found


def _table(exams: Sequence[ExamHabit]) -> dict[str, np.ndarray]:
    """Name of each tilt and margin, with its unit -> (exams,)."""
    tilts = {f"tilt about {axis}, deg": [exam.tilt_deg[i] for exam in exams] for i, axis in enumerate(BOX_AXES)}
    margins = {f"{face} margin, mm": [exam.margin_mm[face] for exam in exams] for face in FACES}
    return {name: np.array(values, dtype=float) for name, values in (tilts | margins).items()}


def _compared(name: str, values: np.ndarray, number: int) -> str:
    title, unit = name.split(", ")
    return f"{title} {values[number]:.1f} {unit} (median {np.median(values):.1f})"


def _not_kept(exam: ExamHabit, exams: Sequence[ExamHabit]) -> list[str]:
    """What the exam has otherwise, of that which most exams share."""
    reasons = []
    for title, value_of in _SHARED.items():
        usual, own = _majority(exams, value_of), value_of(exam)
        if usual and own and own != usual:
            reasons.append(f"{title} {own} (usually {usual})")
    for number, axis in enumerate(BOX_AXES):
        size = _kept_size(exams, axis)
        if size is not None and abs(exam.size_mm[number] - size) > _tolerance_mm(exam, axis):
            reasons.append(f"{AXIS_IN_WORDS[axis]} size {exam.size_mm[number]:.0f} mm (usually {size:.0f})")
    return reasons


def _tolerance_mm(exam: ExamHabit, axis: str) -> float:
    """One slice more or less is not another habit."""
    if exam.series is None or axis != exam.series.slice_axis:
        return SAME_FOV_MM
    return SAME_FOV_MM + exam.series.slice_thickness_mm + exam.series.gap_mm


#: What a series has in words, by title; empty where it is not known.
_SHARED: dict[str, Callable[[ExamHabit], str]] = {
    "slices stacked": lambda exam: AXIS_IN_WORDS[exam.series.slice_axis] if exam.series else "",
    "phase encoding": lambda exam: AXIS_IN_WORDS.get(exam.series.phase_axis, "") if exam.series else "",
    "slice thickness": lambda exam: f"{exam.series.slice_thickness_mm:g} mm" if exam.series else "",
    "gap": lambda exam: f"{exam.series.gap_mm:g} mm" if exam.series else "",
}


def _majority(exams: Sequence[ExamHabit], value_of: Callable[[ExamHabit], str]) -> str:
    """The value that ``KEPT_SHARE`` of the exams have who state one; empty where there is none."""
    values = [value for value in map(value_of, exams) if value]
    if not values:
        return ""
    value, count = Counter(values).most_common(1)[0]
    return value if count >= KEPT_SHARE * len(values) else ""


def _kept_size(exams: Sequence[ExamHabit], axis: str) -> float | None:
    """The length of the box that the site keeps along an axis; None where it follows the head, or is not known.

    Data sets without the slices of their series have boxes with the padding of square images.
    """
    if any(exam.series is None for exam in exams):
        return None
    sizes = np.array([exam.size_mm[BOX_AXES.index(axis)] for exam in exams])
    near = np.abs(sizes - np.median(sizes)) <= SAME_FOV_MM
    return float(np.median(sizes)) if near.mean() >= KEPT_SHARE else None
