"""What became of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ...core.errors import AutoVolumeError

#: A column of the table: a number, a short text, or nothing.
Value = float | int | str | None


@dataclass(frozen=True)
class Outcome:
    """The outcome of a study: the exit code that ``calibrate`` would have, why, and the plan in numbers.

    Attributes:
        study: its name.
        exit_code: as of the command line.
        message: one line.
        numbers: column -> value, empty where nothing was planned.
        seconds: that the study took.
        proof: names the result that was written, empty where none was.
    """

    study: str
    exit_code: int
    message: str
    numbers: Mapping[str, Value] = field(default_factory=dict)
    seconds: float = 0.0
    proof: str = ""


class StudyStoppedError(AutoVolumeError):
    """A study that exceeded a limit, or whose worker died under it too often."""


class Work(Protocol):
    """What is done with one study. Workers are other processes: it must be possible to pickle it."""

    @property
    def study(self) -> str:
        """The study's name."""

    def key(self) -> str:
        """A digest of the request and the study's input: what was planned under another key counts for nothing."""

    def __call__(self) -> Outcome:
        """Plan the study. Any exception becomes its outcome by ``failed``."""

    def failed(self, error: Exception) -> Outcome:
        """The outcome where the study ended with this error."""
