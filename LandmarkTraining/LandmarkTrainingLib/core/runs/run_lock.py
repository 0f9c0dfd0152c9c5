"""Keep other processes out of a folder that one is at work in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.output_folder import require_place

LOCK_FILE = "lock"


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Work in ``folder``, which is made, while no other process does.

    The lock is SQLite's, on an empty file: it works on every system, and the system lets go of it when the process
    ends, however it ends.

    Raises:
        UsageError: another process is at work there, or the folder cannot be written.
    """
    require_place(folder, overwrite=True)
    try:
        lock = sqlite3.connect(folder / LOCK_FILE, timeout=0, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise _refused(folder, error) from error
    with closing(lock):
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            raise _refused(folder, error) from error
        yield


def _refused(folder: Path, error: sqlite3.DatabaseError) -> UsageError:
    if "locked" in str(error):
        return UsageError("another process is at work in it", source=str(folder), remedy="Wait for it or stop it.")
    return UsageError(f"cannot be locked ({error})", source=str(folder), remedy="Give another output folder.")
