"""The frames of one examination, sorted into stacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...errors import InputError
from ..stack import ScoutStack, group_into_stacks, unanimous
from .frame import DicomFrame

_ONE_EXAMINATION = "Choose the scouts of one examination."


def stacks_from_frames(frames: Sequence[DicomFrame], source: str) -> list[ScoutStack]:
    """Pool the frames of all files and sort them into stacks by series, frame of reference and orientation.

    Series stay apart, so that a repeated localizer adds stacks instead of mixing slices from before
    and after a movement into one.

    Raises:
        InputError: where they come from several patients or studies.
    """
    require_one_examination(frames, source)
    series: dict[tuple[str, str], list[DicomFrame]] = {}
    for frame in frames:
        series.setdefault((frame.series, frame.frame_of_reference), []).append(frame)
    stacks: list[ScoutStack] = []
    for (_, frame_of_reference), members in series.items():
        name = f"series {members[0].series_number}" if members[0].series_number else "DICOM"
        grouped = group_into_stacks((m.scout for m in members), frame_of_reference or None, name)
        uid = members[0].series or None
        side, part = (unanimous(words) for words in zip(*((m.laterality, m.body_part) for m in members), strict=True))
        stacks += [replace(stack, series=uid, laterality=side, body_part=part) for stack in grouped]
    return stacks


def require_one_examination(frames: Iterable[DicomFrame], source: str) -> None:
    """Raise InputError where the frames come from several patients or studies."""
    frames = list(frames)
    _require_one(_patients(frames), "patients", source)
    _require_one((frame.study for frame in frames), "studies", source)


def _patients(frames: Iterable[DicomFrame]) -> set[str]:
    """Who is shown: by number; a file without one belongs to the number with the same name, or stands for itself."""
    known = {(frame.patient, frame.patient_name) for frame in frames}
    numbers = {number for number, _ in known if number}
    of_numbers = {name for number, name in known if number}
    nameless = {name for number, name in known if not number and name and name not in of_numbers}
    return numbers | nameless


def _require_one(values: Iterable[str], what: str, source: str) -> None:
    count = len({value for value in values if value})
    if count > 1:
        raise InputError(f"the images come from {count} different {what}", source=source, remedy=_ONE_EXAMINATION)
