"""Zip archives from others, such as Slicer's .mrb scenes: checked before an unpacker sees them."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from ..errors import InputError
from .regular_file import require_regular

#: Of all that an archive unpacks to.
MOST_UNPACKED_BYTES = 4 * 1024**3

_REMEDY = "Save the scene again, and open no archive from an unknown source."


def require_safe_archive(path: Path) -> None:
    """Raise InputError unless all that the archive holds stays in the folder that it is unpacked to.

    Refused are absolute names, names with ``..``, links, what is no file or folder, and more than
    ``MOST_UNPACKED_BYTES``.
    """
    require_regular(path, InputError, "Check the path.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, zlib.error) as error:
        raise InputError("is not a whole archive", source=str(path), remedy="Save or copy it again.") from error
    if sum(entry.file_size for entry in entries) > MOST_UNPACKED_BYTES:
        raise InputError("unpacks to more than a scene has", source=str(path), remedy=_REMEDY)
    for entry in entries:
        if not _stays_inside(entry.filename) or not _is_plain(entry):
            name = entry.filename[:80]
            raise InputError(f"an entry leads out of the archive ({name})", source=str(path), remedy=_REMEDY)


def _stays_inside(name: str) -> bool:
    """Read as either system does: unpackers turn backslashes into slashes."""
    windows = PureWindowsPath(name)
    parts = (*PurePosixPath(name).parts, *windows.parts)
    return bool(parts) and not (PurePosixPath(name).is_absolute() or windows.drive or windows.root or ".." in parts)


def _is_plain(entry: zipfile.ZipInfo) -> bool:
    """A file or folder; archives made on Windows state no kind."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return kind in (0, stat.S_IFREG, stat.S_IFDIR)
