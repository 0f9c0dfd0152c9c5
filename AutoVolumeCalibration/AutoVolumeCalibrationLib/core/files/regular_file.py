"""Files that may be read: a FIFO or a device never ends or never answers, a huge file fills the memory."""

from __future__ import annotations

import stat
from pathlib import Path

from ..errors import AutoVolumeError, InputError


def require_there(path: Path) -> None:
    """Raise InputError where there is neither a file nor a folder of that name."""
    if not path.exists():
        raise InputError("there is no such file or folder", source=str(path), remedy="Check the path.")


def require_regular(
    path: Path | str, error_type: type[AutoVolumeError], remedy: str, *, most_bytes: int | None = None
) -> int:
    """The size in bytes of a regular file; links are followed.

    Raises:
        error_type: the path does not exist or cannot be reached, is not a regular file, or is larger than
            ``most_bytes``; with ``remedy``.
    """
    try:
        status = Path(path).stat()
    except OSError as error:
        raise error_type(f"cannot be read ({error.strerror or error})", source=str(path), remedy=remedy) from error
    except ValueError as error:  # a NUL character in the name
        raise error_type("is not a valid file name", source=str(path), remedy=remedy) from error
    if stat.S_ISDIR(status.st_mode):
        raise error_type("cannot be read (Is a directory)", source=str(path), remedy=remedy)
    if not stat.S_ISREG(status.st_mode):
        raise error_type("is not a regular file", source=str(path), remedy=remedy)
    if most_bytes is not None and status.st_size > most_bytes:
        raise error_type(f"is refused for its size ({status.st_size} bytes)", source=str(path), remedy=remedy)
    return status.st_size
