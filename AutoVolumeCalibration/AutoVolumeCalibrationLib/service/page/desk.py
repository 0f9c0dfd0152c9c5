"""What the page needs from the service that it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..engine.outcome import Outcome

#: Where a study is on its way. DONE: it has its outcome.
RECEIVING, WAITING, PLANNING, DONE = "receiving images", "waiting", "being planned", "done"


@dataclass(frozen=True)
class StudyState:
    """A study of the service.

    Attributes:
        name: digest of its UID, 16 hexadecimal digits.
        received_s: when its last image came, seconds since the epoch.
        stage: RECEIVING, WAITING, PLANNING or DONE.
        outcome: of the last attempt, None before the first one ended.
        images, plan: its folders.
    """

    name: str
    received_s: float
    stage: str
    outcome: Outcome | None
    images: Path
    plan: Path


class Desk(Protocol):
    """The service, as the page sees it. Called from several threads."""

    def studies(self) -> Iterable[StudyState]:
        """All studies, without order."""

    def study(self, name: str) -> StudyState | None:
        """One of them; None where the service has no such study."""

    def objects_to_send(self) -> Mapping[str, int]:
        """Name of a destination -> how many objects wait for it."""

    def unreadable(self) -> int:
        """How many objects came that do not say which study they belong to."""

    def plan_again(self, name: str) -> None:
        """Put a study that is DONE into the queue once more; OSError where that is not possible."""
