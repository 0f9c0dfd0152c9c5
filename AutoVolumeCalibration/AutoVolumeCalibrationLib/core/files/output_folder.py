"""Output folders: created and checked before the work that fills them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import ExistsError, UsageError


def require_place(folder: Path | str, overwrite: bool, names: Sequence[str] = ()) -> None:
    """Create ``folder`` and check that the files ``names`` can be written there: before the work, not after it.

    Raises:
        UsageError: it cannot be created or written.
        ExistsError: it already holds one of them, and ``overwrite`` is False.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot be created ({error.strerror or error})", source=str(folder), remedy="Give another output folder."
        ) from error
    present = [name for name in names if (folder / name).exists()]
    if present and not overwrite:
        raise ExistsError(
            f"already holds {', '.join(present)}",
            source=str(folder),
            remedy="Choose another folder or allow overwriting.",
        )
    if not os.access(folder, os.W_OK):
        raise UsageError("is not writable", source=str(folder), remedy="Give another output folder.")
