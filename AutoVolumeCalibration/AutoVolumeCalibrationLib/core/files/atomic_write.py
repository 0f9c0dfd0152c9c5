"""Atomic writing: a file is written under a temporary name in its folder, then renamed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UsageError


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8 with the line ends it has; UsageError where the file cannot be written."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write ``data``; UsageError where the file cannot be written."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path in the same folder and with the same suffix, renamed to ``path`` on success.

    Where the body raises, the temporary file is removed and an existing ``path`` stays as it was.

    Raises:
        UsageError: the folder is missing or cannot be written, the disk is full, ``path`` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError("is a folder, not a file", source=str(path), remedy="Give another name.")
    temporary = path.with_name(f".{path.stem[:80]}.{uuid.uuid4().hex[:12]}.partial{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        # An error about another file that the body touches passes through.
        if error.filename not in (None, str(temporary), str(path)):
            raise
        raise UsageError(
            f"cannot be written ({error.strerror or error})",
            source=str(path),
            remedy="Check the folder, its permissions and the free disk space.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
