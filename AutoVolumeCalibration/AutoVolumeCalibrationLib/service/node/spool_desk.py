"""The service as its page sees it: studies of the spool, their outcomes, and what waits to be sent."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..engine.outcome import Outcome
from ..engine.records import Records
from ..page.desk import DONE, PLANNING, RECEIVING, WAITING, StudyState
from .configuration import Configuration
from .outbox import objects_in
from .spool import IMAGES, OUTBOX, PLANS, ReceivedStudy, Spool

#: Study -> its outcome, as the loop of the service fills it.
Outcomes = Mapping[str, Outcome | None]


class SpoolDesk:
    """See ``page.desk.Desk``.

    Args:
        spool, records: of the service.
        outcomes: as they are now, always the same mapping.
    """

    def __init__(self, configuration: Configuration, spool: Spool, records: Records, outcomes: Outcomes) -> None:
        self._configuration, self._spool, self._records, self._outcomes = configuration, spool, records, outcomes
        # Of studies that are done: looking at each file of a month's studies for every page would take seconds.
        self._received_s: dict[str, float] = {}

    def studies(self) -> Iterator[StudyState]:
        """All studies, without order."""
        opened = {study.name: study for study in self._spool.changed()}
        for folder in (self._configuration.spool / IMAGES).glob("[0-9a-f]*"):
            yield self._state(folder, opened.get(folder.name))

    def study(self, name: str) -> StudyState | None:
        """One of them; None where there is none."""
        folder = self._configuration.spool / IMAGES / name
        opened = {study.name: study for study in self._spool.changed()}
        return self._state(folder, opened.get(name)) if folder.is_dir() else None

    def objects_to_send(self) -> dict[str, int]:
        """Name of a destination -> how many objects wait for it."""
        folders = {one.name: self._configuration.spool / OUTBOX / one.name for one in self._configuration.destinations}
        return {name: len(objects_in(folder)) for name, folder in folders.items()}

    def unreadable(self) -> int:
        """How many objects came that do not say which study they belong to."""
        return self._spool.unreadable()

    def plan_again(self, name: str) -> None:
        """Put a study into the queue; its outcome and its attempts are forgotten."""
        self._records.forget(name)
        self._spool.reopen(name)

    def _state(self, folder: Path, opened: ReceivedStudy | None) -> StudyState:
        name = folder.name
        if opened is not None:
            self._received_s.pop(name, None)
        elif name not in self._received_s:
            self._received_s[name] = self._spool.latest(name)
        received_s = opened.latest if opened else self._received_s[name]
        plan = self._configuration.spool / PLANS / name
        return StudyState(name, received_s, self._stage(opened), self._outcomes.get(name), folder, plan)

    def _stage(self, opened: ReceivedStudy | None) -> str:
        if opened is None:
            return DONE
        if self._records.path(opened.name, "claim").exists():
            return PLANNING
        return RECEIVING if time.time() - opened.latest < self._configuration.quiet_s else WAITING
