"""What is to be sent: a file for each object and destination, moved to ``sent`` once the destination has it.

A process that is killed goes on where it was. Killed between the destination's answer and the note about it, it sends
the object again under the same UID, which archives take for the same object.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import AutoVolumeError
from ...core.files.atomic_write import atomic_path
from .configuration import Destination, Tls
from .delivery import deliver
from .spool import OUTBOX, SENT, sync_folder

_logger = logging.getLogger(__name__)

#: After a failure the next try waits so long, twice as long after each further one, at most.
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 600.0

#: Objects in one association.
_MOST_AT_ONCE = 100


@dataclass
class BackOff:
    """When to try again what failed."""

    wait_s: float = 0.0
    next_try_s: float = 0.0

    def failed(self) -> None:
        """Wait twice as long as the last time."""
        self.wait_s = min(max(FIRST_WAIT_S, 2 * self.wait_s), LONGEST_WAIT_S)
        self.next_try_s = time.monotonic() + self.wait_s

    def is_over(self) -> bool:
        """Whether it is time."""
        return time.monotonic() >= self.next_try_s


class Outbox:
    """The objects of one destination.

    Args:
        spool: folder of the spool.
        title: AE title of this node.
        tls: of this node, for a destination that wants it.
    """

    def __init__(self, spool: Path, destination: Destination, title: str, tls: Tls | None = None) -> None:
        self._waiting = spool / OUTBOX / destination.name
        self._sent = spool / SENT / destination.name
        self._destination, self._title, self._tls = destination, title, tls
        self._unreachable = BackOff()
        # By file name: one that is refused does not keep the others waiting.
        self._refused: dict[str, BackOff] = {}

    def put(self, path: Path, uid: str) -> None:
        """Add the object ``uid`` in a file, unless it was sent before; OSError or UsageError where that fails."""
        name = f"{uid}.dcm"
        if (self._sent / name).exists():
            return
        self._waiting.mkdir(parents=True, exist_ok=True)
        with atomic_path(self._waiting / name) as temporary:
            shutil.copyfile(path, temporary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        sync_folder(self._waiting)

    def waiting(self) -> list[Path]:
        """The objects that are still to be sent, oldest first."""
        return sorted(objects_in(self._waiting), key=lambda path: path.stat().st_mtime)

    def send(self) -> int:
        """Send what waits, except what failed just before; returns how many objects went."""
        if not self._unreachable.is_over():
            return 0
        self._forget_sent()
        due = [path for path in self.waiting() if self._is_due(path)][:_MOST_AT_ONCE]
        return self._deliver(due) if due else 0

    def _deliver(self, objects: list[Path]) -> int:
        sent = 0
        try:
            for path, refusal in deliver(objects, self._destination, self._title, self._tls):
                if refusal:
                    _logger.warning("%s refused an object: %s", self._destination.name, refusal)
                    self._refused.setdefault(path.name, BackOff()).failed()
                else:
                    self._done(path)
                    sent += 1
        except (OSError, AutoVolumeError) as error:
            _logger.warning("%s cannot be reached: %s", self._destination.name, error)
            self._unreachable.failed()
        else:
            self._unreachable = BackOff()
        return sent

    def _is_due(self, path: Path) -> bool:
        return path.name not in self._refused or self._refused[path.name].is_over()

    def _forget_sent(self) -> None:
        """Of a process that was killed after it noted an object as sent, and of a study planned again meanwhile."""
        for path in objects_in(self._waiting):
            if (self._sent / path.name).exists():
                path.unlink()

    def _done(self, path: Path) -> None:
        """An empty file remembers it: that is enough to send nothing twice."""
        self._sent.mkdir(parents=True, exist_ok=True)
        (self._sent / path.name).touch()
        path.unlink()
        self._refused.pop(path.name, None)


def objects_in(folder: Path) -> list[Path]:
    """The objects in a folder, without those that are being written."""
    return list(folder.glob("[!.]*.dcm"))
