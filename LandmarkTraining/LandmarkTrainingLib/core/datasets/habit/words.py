"""The habit of a site in words, for the console."""

from __future__ import annotations

from collections.abc import Iterator

from AutoVolumeCalibrationLib.core.anatomy.protocol import BOX_AXES
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES

from .outliers import CHANCE
from .sites_habit import AXIS_IN_WORDS, SiteHabit

#: With so many exams the scatter is known well enough to find those that were planned otherwise.
ADVISABLE = 10

#: A turn about right, anterior, superior by a positive and by a negative angle.
_TURNS = (("front up", "front down"), ("right side down", "right side up"), ("right side forward", "right side back"))

#: Planes of slices by the axis along which they are stacked.
_PLANES = {"right": "sagittal", "anterior": "coronal", "superior": "axial"}


def habit_in_words(habit: SiteHabit, reference: str) -> list[str]:
    """One line for each thing that the site does; sd is the robust standard deviation from exam to exam.

    Args:
        reference: what the tilts are measured against.
    """
    turns = (
        f"{words[tilt < 0]} {abs(tilt):.1f} deg (sd {sd:.1f})"
        for words, tilt, sd in zip(_TURNS, habit.tilt_deg, habit.tilt_sd_deg, strict=True)
    )
    margins = (f"{face} {habit.margin_mm[face]:.1f} (sd {habit.margin_sd_mm[face]:.1f})" for face in FACES)
    return [
        f"Tilt against {reference}: {', '.join(turns)}.",
        f"Margins beyond the landmarks, mm: {', '.join(margins)}.",
        *_slices(habit),
        _field_of_view(habit),
    ]


def _slices(habit: SiteHabit) -> Iterator[str]:
    if habit.series is None or habit.slices is None:
        yield "Slices: not in this data set, which an earlier version built; build it from the archive again."
        return
    series, (fewest, _, most) = habit.series, habit.slices
    fixed = series.slice_axis in habit.kept or fewest == most
    count = f"always {series.slices}" if fixed else f"{fewest} to {most}, as many as the anatomy needs"
    phase = f", phase encoding {AXIS_IN_WORDS[series.phase_axis]}" if series.phase_axis else ""
    yield (
        f"Slices: {_PLANES[series.slice_axis]}, {count}; thickness {series.slice_thickness_mm:g} mm, "
        f"gap {series.gap_mm:g} mm{phase}."
    )


def _field_of_view(habit: SiteHabit) -> str:
    slice_axis = habit.series.slice_axis if habit.series else None
    axes = [axis for axis in BOX_AXES if axis != slice_axis]
    sizes = (
        f"{AXIS_IN_WORDS[axis]} {habit.size_mm[axis]:.0f} mm"
        + (", kept" if axis in habit.kept else ", follows the anatomy (median)")
        for axis in axes
    )
    return f"Field of view: {'; '.join(sizes)}."


def outliers_in_words(habit: SiteHabit) -> list[str]:
    """The exams that were planned otherwise, the limit, and how many exams the habit rests on."""
    lines = [f"planned otherwise  {each.name}: {'; '.join(each.reasons)}" for each in habit.outliers]
    total = len(habit.exams) + len(habit.outliers)
    few = [f"With fewer than {ADVISABLE} exams only gross differences show: add more."] if total < ADVISABLE else []
    return [
        *lines,
        *few,
        f"The habit rests on {len(habit.exams)} of {total} exams. Otherwise: a tilt or margin more than "
        f"{habit.limit:.1f} robust standard deviations from the median (by chance in about "
        f"{CHANCE:.0%} of the exams), or other slices or another field of view than most exams have.",
    ]
