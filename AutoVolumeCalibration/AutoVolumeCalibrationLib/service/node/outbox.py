"""What is to be sent: a file for each object and destination, moved to ``sent`` once the destination has it.

A process that is killed goes on where it was. Killed between the destination's answer and the move, it sends the object
again under the same UID, which archives take for the same object.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from ...core.files.atomic_write import atomic_path
from ...core.files.dicom_parsing import parse_dicom
from .configuration import Destination
from .spool import OUTBOX, SENT

_logger = logging.getLogger(__name__)

#: After a failure the next try waits so long, twice as long after each further one, at most.
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 600.0

_TIMEOUT_S = 30

#: Objects in one association.
_MOST_AT_ONCE = 100


class Outbox:
    """The objects of one destination.

    Args:
        spool: folder of the spool.
        title: AE title of this node.
    """

    def __init__(self, spool: Path, destination: Destination, title: str) -> None:
        self._waiting = spool / OUTBOX / destination.name
        self._sent = spool / SENT / destination.name
        self._destination, self._title = destination, title
        self._wait_s, self._next_try = 0.0, 0.0

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

    def waiting(self) -> list[Path]:
        """The objects that are still to be sent, oldest first."""
        found = [path for path in self._waiting.glob("*.dcm") if not path.name.startswith(".")]
        return sorted(found, key=lambda path: path.stat().st_mtime)

    def send(self) -> int:
        """Send what waits, unless a failure was just before; returns how many went."""
        waiting = self.waiting()[:_MOST_AT_ONCE]
        if not waiting or time.monotonic() < self._next_try:
            return 0
        try:
            sent = self._to_folder(waiting) if self._destination.folder else self._to_node(waiting)
        except (OSError, ValueError, RuntimeError) as error:  # the latter two: what pynetdicom finds wrong
            _logger.warning("%s cannot be reached: %s", self._destination.name, error)
            sent = 0
        failed = sent < len(waiting)
        self._wait_s = min(max(FIRST_WAIT_S, 2 * self._wait_s), LONGEST_WAIT_S) if failed else 0.0
        self._next_try = time.monotonic() + self._wait_s
        return sent

    def _to_folder(self, waiting: Sequence[Path]) -> int:
        assert self._destination.folder is not None
        self._destination.folder.mkdir(parents=True, exist_ok=True)
        for path in waiting:
            with atomic_path(self._destination.folder / path.name) as temporary:
                shutil.copyfile(path, temporary)
            self._done(path)
        return len(waiting)

    def _to_node(self, waiting: Sequence[Path]) -> int:
        from pynetdicom import AE

        entity = AE(self._title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = _TIMEOUT_S
        for sop_class in sorted({_sop_class(path) for path in waiting}):
            entity.add_requested_context(sop_class)
        target = self._destination
        association = entity.associate(target.host, target.port, ae_title=target.title)
        if not association.is_established:
            _logger.warning("%s does not accept a connection", target.name)
            return 0
        sent = 0
        try:
            for path in waiting:
                status = association.send_c_store(parse_dicom(path))
                if not status or status.Status not in (0x0000, 0xB000, 0xB006, 0xB007):  # success, or with a remark
                    _logger.warning("%s refused an object", target.name)
                    break
                self._done(path)
                sent += 1
        finally:
            association.release()
        return sent

    def _done(self, path: Path) -> None:
        """An empty file remembers it: that is enough to send nothing twice."""
        self._sent.mkdir(parents=True, exist_ok=True)
        (self._sent / path.name).touch()
        path.unlink()


def _sop_class(path: Path) -> str:
    return str(parse_dicom(path, stop_before_pixels=True).SOPClassUID)
