"""The durable spool: an instance that was acknowledged is on the disk, whatever happens to the process.

``images/STUDY/SERIES/INSTANCE.dcm``, named by digests of the UIDs: no name of a patient is in a path.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import InputError
from ...core.files.atomic_write import remove_stale, temporary_beside
from ...core.files.dicom_parsing import parse_dicom_bytes, quiet_libraries
from ...core.scouts.series import uid_digest

IMAGES, PLANS, UNREADABLE, OUTBOX, SENT = "images", "plans", "unreadable", "outbox", "sent"

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True)
class ReceivedStudy:
    """A study in the spool: its digest, its folder, and when its last file came (seconds since the epoch)."""

    name: str
    folder: Path
    latest: float


class Spool:
    """The spool in a folder, which one process at a time receives into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._changed: set[str] = set()

    def keep(self, data: bytes) -> Path:
        """Keep an instance; once this returns, it is on the disk. One that is there already stays as it is.

        Args:
            data: a DICOM file.

        Returns:
            Where it lies; in ``unreadable`` where it does not say which study it belongs to.

        Raises:
            OSError: it could not be written.
        """
        path = self._place(data)
        if path.exists() and path.read_bytes() == data:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(path)
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
            sync_folder(folder)
        if path.parent.name != UNREADABLE:
            self._changed.add(path.parent.parent.name)
        return path

    def studies(self) -> Iterator[ReceivedStudy]:
        """All studies that were received and not removed, without order."""
        return studies_in(self.folder / IMAGES)

    def changed(self) -> Iterator[ReceivedStudy]:
        """Those that received something since ``settle``, without order."""
        for name in self._changed.copy():
            yield ReceivedStudy(name, self.folder / IMAGES / name, self.latest(name))

    def latest(self, name: str) -> float:
        """When the last file of a study came, seconds since the epoch; 0 without files."""
        return max(_times(self.folder / IMAGES / name), default=0.0)

    def reopen(self, name: str) -> None:
        """The study is to be worked on once more."""
        self._changed.add(name)

    def settle(self, study: ReceivedStudy) -> None:
        """The study needs no more work, unless something came meanwhile."""
        self._changed.discard(study.name)
        if self.latest(study.name) > study.latest:
            self._changed.add(study.name)

    def recover(self) -> None:
        """Remove what a killed process left half-written, which nobody was promised; all studies are looked at anew."""
        for folder, _, _ in os.walk(self.folder):
            remove_stale(Path(folder))
        self._changed.update(study.name for study in self.studies())

    def remove_older(self, days: float) -> list[str]:
        """Remove studies and their plans without a new file for so long; returns their digests.

        What was unreadable goes after the same time, and so do the notes of what was sent.
        """
        limit = time.time() - days * 24 * 3600
        for folder in (self.folder / UNREADABLE, *(self.folder / SENT).glob("*")):
            _remove_files(folder, limit)
        old = [study for study in self.studies() if study.latest < limit]
        for study in old:
            shutil.rmtree(study.folder, ignore_errors=True)
            shutil.rmtree(self.folder / PLANS / study.name, ignore_errors=True)
        return [study.name for study in old]

    def unreadable(self) -> int:
        """How many objects do not say which study they belong to."""
        return len(list((self.folder / UNREADABLE).glob("[!.]*")))

    def free_gb(self) -> float:
        """Space on the disk, in GiB."""
        return shutil.disk_usage(self.folder).free / 2**30

    def _place(self, data: bytes) -> Path:
        uids = _read_uids(data)
        if not all(uids):
            return self.folder / UNREADABLE / f"{hashlib.sha256(data).hexdigest()[:32]}.dcm"
        study, series, instance = map(uid_digest, uids)
        return self.folder / IMAGES / study / series / f"{instance}.dcm"


def studies_in(folder: Path) -> Iterator[ReceivedStudy]:
    """The sub-folders with files, without order; hidden ones are not studies."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            latest = max(_times(Path(entry.path)), default=0.0)
            if latest and not entry.name.startswith("."):
                yield ReceivedStudy(entry.name, Path(entry.path), latest)


def _read_uids(data: bytes) -> list[str]:
    """Study, series and instance UID; empty where they are not there."""
    from ...core.scouts.dicom import PARSE_ERRORS

    with quiet_libraries():
        try:
            header = parse_dicom_bytes(data, "an object received", stop_before_pixels=True)
            return [str(header.get(name, "") or "") for name in _UIDS]
        except (InputError, *PARSE_ERRORS):
            return [""]


def _times(folder: Path) -> Iterator[float]:
    for where, _, names in os.walk(folder):
        for name in names:
            if not name.startswith("."):  # being written
                with suppress(OSError):
                    yield os.stat(os.path.join(where, name)).st_mtime


def _remove_files(folder: Path, limit: float) -> None:
    """Those that were last changed before ``limit``, seconds since the epoch."""
    for path in folder.glob("*"):
        with suppress(OSError):
            if path.stat().st_mtime < limit:
                path.unlink()


def sync_folder(folder: Path) -> None:
    """Bring the names of new files to the disk; not possible, and not needed, on Windows."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
