"""Atomic writing: a file is written under a temporary name in its folder, then renamed.

A process that is killed leaves its temporary file. The next one that writes in that folder removes it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from ..errors import UsageError

#: ``.<stem>.<where>-<process>-<random>.partial<suffix>``
_TEMPORARY = re.compile(r"\..+\.([0-9a-f]{8})-([0-9]{1,10})-[0-9a-f]{12}\.partial(?:\.[^.]*)?")

#: No file takes this long to write: where the process cannot be asked, its temporary file is then stale.
_STALE_S = 24 * 3600.0


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
    remove_stale(path.parent)
    temporary = temporary_beside(path)
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


def temporary_beside(path: Path) -> Path:
    """A new hidden name in the folder of ``path`` that names this process, so that ``remove_stale`` spares it."""
    owner = f"{place()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    return path.with_name(f".{path.stem[:40]}.{owner}.partial{path.suffix}")


def remove_stale(folder: Path) -> None:
    """Remove the temporary files and folders that processes left in ``folder`` which are not running any more.

    A process on another machine cannot be asked: what it left is removed after a day.
    """
    with suppress(OSError):  # no such folder, or not ours to clean: writing to it will say so
        for entry in os.scandir(folder):
            if ".partial" in entry.name and _is_stale(entry):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink(missing_ok=True)


def _is_stale(entry: os.DirEntry[str]) -> bool:
    named = _TEMPORARY.fullmatch(entry.name)
    if named is None:
        return False
    if named[1] == place() and os.name != "nt":  # there os.kill would end the process
        return not is_running(int(named[2]))
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_S


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


@lru_cache(maxsize=1)
def place() -> str:
    """Eight digits for where a process number counts: the machine, and on Linux the container."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:8]
