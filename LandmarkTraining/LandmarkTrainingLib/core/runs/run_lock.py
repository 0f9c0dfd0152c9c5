"""Keep other processes out of a folder that one is at work in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.files.output_folder import require_place

LOCK_FILE = "lock"


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Work in ``folder``, which is made, while no other process does.

    The operating system releases the lock when the process ends, however it ends.

    Raises:
        UsageError: another process is at work there, or the folder cannot be written.
    """
    require_place(folder, overwrite=True)
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            "another process is at work in it", source=str(folder), remedy="Wait for it or stop it."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise UsageError(
            f"cannot be locked ({error})", source=str(folder), remedy="Give another output folder."
        ) from error
    try:
        yield
    finally:
        lock.release()
