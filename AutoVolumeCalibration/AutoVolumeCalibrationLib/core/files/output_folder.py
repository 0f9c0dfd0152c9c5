"""Output folders: made and checked before the work that fills them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError


def require_place(folder: Path | str, overwrite: bool, names: Sequence[str] = ()) -> None:
    """Make ``folder`` and see that it can take the files ``names``: better before the work than after it.

    Raises:
        UsageError: it cannot be made or written, or holds one of them and ``overwrite`` is False.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot be made ({error.strerror or error})", source=str(folder), remedy="Give another output folder."
        ) from error
    present = [name for name in names if (folder / name).exists()]
    if present and not overwrite:
        raise UsageError(
            f"holds {', '.join(present)} already", source=str(folder), remedy="Give another folder or --overwrite."
        )
    if not os.access(folder, os.W_OK):
        raise UsageError("is not writable", source=str(folder), remedy="Give another output folder.")
