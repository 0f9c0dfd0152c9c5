"""The DICOM frames of an examination sorted into series, and what each series is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..geometry.coordinates import PLANES
from .dicom import DicomFrame, stacks_from_frames
from .series import DIAGNOSTIC, LOCALIZER, PREPARATION, SeriesInfo, is_preparation
from .stack import ScoutStack
from .volume import is_dense_volume


@dataclass(frozen=True, eq=False)
class FoundSeries:
    """A DICOM series in one frame of reference.

    Attributes:
        uid, number, description, frame_of_reference: as its header states them, empty where it does not.
        kind: one of the kinds of ``series``.
        order: sort key in the order of scanning.
        stacks: its slices in space, their pixels not read yet.
        frames: the frames that count, their pixels not read yet: of a series of magnitude and phase, the magnitude.
        left_out: the other frames, counted in words; empty where all count.
    """

    uid: str
    number: str
    description: str
    frame_of_reference: str
    kind: str
    order: tuple[str, int]
    stacks: tuple[ScoutStack, ...]
    frames: tuple[DicomFrame, ...]
    left_out: str = ""

    @property
    def title(self) -> str:
        """``series 3``: a name for messages."""
        return f"series {self.number}" if self.number else "a series without a number"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of its frames."""
        return tuple(dict.fromkeys(frame.path for frame in self.frames))

    @cached_property
    def planes(self) -> frozenset[str]:
        """The planes that it shows; all where it is a 3D acquisition."""
        if any(is_dense_volume(stack) for stack in self.stacks):
            return frozenset(PLANES)
        return frozenset(stack.plane for stack in self.stacks)

    def info(self, used: bool, reason: str) -> SeriesInfo:
        """As a line of the list."""
        reason = f"{reason}, {self.left_out}" if self.left_out else reason
        planes = tuple((stack.plane, len(stack.slices)) for stack in self.stacks)
        return SeriesInfo(
            self.uid, self.title, self.number, self.description, self.kind, planes, used, reason, self.files
        )


def found_series(frames: Iterable[DicomFrame]) -> list[FoundSeries]:
    """The series of an examination, each in one frame of reference, in the order of their first frames.

    A series without a frame of reference belongs to the only one that is stated, if there is only one.
    """
    frames = list(frames)
    stated = {frame.frame_of_reference for frame in frames} - {""}
    only = stated.pop() if len(stated) == 1 else ""
    groups: dict[tuple[str, str], list[DicomFrame]] = {}
    for frame in frames:
        groups.setdefault((frame.series, frame.frame_of_reference or only), []).append(frame)
    timed = all(frame.time for frame in frames)
    return [_series(members, frame, timed) for (_, frame), members in groups.items()]


def _series(members: Sequence[DicomFrame], frame_of_reference: str, timed: bool) -> FoundSeries:
    plain = [frame for frame in members if frame.kind is None]
    counted = plain or members
    number = members[0].series_number
    stacks = tuple(stacks_from_frames(counted, ""))
    return FoundSeries(
        uid=members[0].series,
        number=number,
        description=_printable(members[0].description),
        frame_of_reference=frame_of_reference,
        kind=_kind(counted, stacks),
        order=(max(frame.time for frame in members) if timed else "", _number(number)),
        stacks=stacks,
        frames=tuple(counted),
        left_out=_left_out(members) if plain else "",
    )


def _left_out(frames: Iterable[DicomFrame]) -> str:
    """``phase images: 15 left out``."""
    kinds = Counter(frame.kind for frame in frames if frame.kind)
    return " and ".join(f"{kind}: {count} left out" for kind, count in kinds.items())


def _kind(frames: Sequence[DicomFrame], stacks: Sequence[ScoutStack]) -> str:
    kinds = Counter(frame.kind for frame in frames if frame.kind)
    if kinds:
        return kinds.most_common(1)[0][0]
    if is_preparation(frames[0].description):
        return PREPARATION
    several_planes = len({stack.plane for stack in stacks}) > 1
    return LOCALIZER if several_planes or any(frame.localizer for frame in frames) else DIAGNOSTIC


def _number(text: str) -> int:
    return int(text) if text.lstrip("-").isdigit() and len(text) < 12 else 0


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
