"""Which of the series that arrived are the scouts: the localizer, the latest complete one, magnitude images only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..errors import InputError, shortened
from .dicom_series import FoundSeries
from .series import DIAGNOSTIC, LOCALIZER, PREPARATION, REFORMAT, SeriesInfo, uid_digest
from .volume import is_thick_volume

#: What is tried in turn until it can be planned on; each with all before it.
_LEVELS = (LOCALIZER, DIAGNOSTIC, REFORMAT, PREPARATION)

_LEFT_OUT = {
    DIAGNOSTIC: "the localizer is used",
    REFORMAT: "original images are used",
    PREPARATION: "it prepares the scanner",
}


@dataclass(frozen=True, eq=False)
class Choice:
    """The series that are the scouts, why each other one is not (in the order of ``found``), and notes for the user."""

    used: tuple[FoundSeries, ...]
    infos: tuple[SeriesInfo, ...]
    notes: tuple[str, ...]


def choose(found: Iterable[FoundSeries], wanted: Sequence[str] = ()) -> Choice:
    """The scouts among the series.

    Several frames of reference are never mixed: the patient was moved between them. The latest one that can be planned
    on counts, and in it the latest complete localizer; only where there is none, other series, then reformatted ones.

    Args:
        wanted: numbers, UIDs or descriptions (``*`` stands for anything, case does not matter) of the series to use;
            they are taken whatever they are. None: the rules above.

    Raises:
        InputError: no series is like one of ``wanted``.
    """
    ordered = sorted(found, key=lambda series: series.order)
    used = _chosen_by_user(ordered, wanted) if wanted else _scouts(ordered)
    infos = tuple(series.info(series in used, _reason(series, used, bool(wanted))) for series in ordered)
    return Choice(used, infos, _notes(ordered, used, bool(wanted)))


def _chosen_by_user(ordered: Sequence[FoundSeries], wanted: Sequence[str]) -> tuple[FoundSeries, ...]:
    unknown = [word for word in wanted if not any(_is_like(series, word) for series in ordered)]
    if unknown:
        there = shortened([series.number or "without a number" for series in ordered], 12)
        raise InputError(f"there is no series {shortened(unknown)}", remedy=f"The series are: {there or 'none'}.")
    chosen = [series for series in ordered if any(_is_like(series, word) for word in wanted)]
    frame = _latest_frame(chosen)
    return tuple(series for series in chosen if series.frame_of_reference == frame)


def _is_like(series: FoundSeries, word: str) -> bool:
    word = word.strip()
    return word in (series.number, series.uid, uid_digest(series.uid)) or fnmatchcase(
        series.description.casefold(), word.casefold()
    )


def _scouts(ordered: Sequence[FoundSeries]) -> tuple[FoundSeries, ...]:
    """The latest complete set of scouts; where none can be planned on, what comes nearest, to name what is missing."""
    nearest: tuple[FoundSeries, ...] = ()
    for level in range(1, len(_LEVELS) + 1):
        candidates = [series for series in ordered if series.kind in _LEVELS[:level]]
        while candidates:
            frame = _latest_frame(candidates)
            scouts = _latest_complete([series for series in candidates if series.frame_of_reference == frame])
            if _can_be_planned_on(scouts):
                return scouts
            nearest = nearest or scouts
            candidates = [series for series in candidates if series.frame_of_reference != frame]
    return nearest


def _latest_frame(series: Iterable[FoundSeries]) -> str:
    """The frame of reference of the latest series; at the same time, the one with more planes and slices."""
    frames: dict[str, list[FoundSeries]] = {}
    for one in series:
        frames.setdefault(one.frame_of_reference, []).append(one)

    def rank(frame: str) -> tuple[tuple[str, int], int, int]:
        members = frames[frame]
        slices = sum(len(stack.slices) for one in members for stack in one.stacks)
        return max(one.order for one in members), len(_planes_of(members)), slices

    return max(frames, key=rank)


def _latest_complete(ordered: Sequence[FoundSeries]) -> tuple[FoundSeries, ...]:
    """Of one frame of reference, the latest run of series that shows all planes; else the latest one of each plane.

    A localizer may be one series of all planes or a series for each. A plane that comes again begins a new one: between
    the two the patient may have moved, so they are not mixed.
    """
    runs: list[list[FoundSeries]] = []
    for series in ordered:
        if not runs or series.planes & _planes_of(runs[-1]):
            runs.append([])
        runs[-1].append(series)
    complete = [run for run in runs if _planes_of(run) == _planes_of(ordered)]
    if complete:
        return tuple(complete[-1])
    latest = {plane: series for series in ordered for plane in series.planes}
    return tuple(series for series in ordered if series in latest.values())


def _can_be_planned_on(series: Sequence[FoundSeries]) -> bool:
    stacks = [stack for one in series for stack in one.stacks]
    return len(_planes_of(series)) > 1 or any(is_thick_volume(stack) for stack in stacks)


def _planes_of(series: Iterable[FoundSeries]) -> frozenset[str]:
    return frozenset(plane for one in series for plane in one.planes)


def _reason(series: FoundSeries, used: Sequence[FoundSeries], by_user: bool) -> str:
    """Why the series is used or not."""
    if by_user:
        return "chosen by the user" if series in used else "not chosen"
    if series in used:
        return "the latest complete localizer" if series.kind == LOCALIZER else "no localizer can be planned on"
    if series.kind not in _LEVELS:
        return "does not show the anatomy as it lies in the scanner"
    if used and series.frame_of_reference != used[0].frame_of_reference:
        return "lies in another frame of reference: the patient was moved"
    if series.kind == LOCALIZER:
        return "repeated later" if used and series.order <= used[-1].order else "later, but not complete"
    return _LEFT_OUT[series.kind] if used and used[0].kind != series.kind else "a later series is used"


def _notes(ordered: Sequence[FoundSeries], used: Sequence[FoundSeries], by_user: bool) -> tuple[str, ...]:
    if by_user or not used:
        return ()
    notes = []
    if not any(series.kind == LOCALIZER for series in used):
        notes.append(f"No localizer was found: {_titles(used)} used.")
    unused = [series for series in ordered if series not in used]
    for series in (one for one in unused if one.kind == LOCALIZER):
        notes.append(f"{series.title} is a localizer too, not used: {_reason(series, used, by_user)}.")
    others = [series for series in unused if series.kind != LOCALIZER]
    if others:
        notes.append(f"{_titles(others)} not used.")
    return tuple(notes)


def _titles(series: Sequence[FoundSeries]) -> str:
    """``series 1 is`` or ``series 1, series 3 and 2 more are``."""
    return f"{shortened([one.title for one in series], 3)} {'is' if len(series) == 1 else 'are'}"
