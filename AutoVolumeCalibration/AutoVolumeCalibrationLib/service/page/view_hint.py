"""How a plan is corrected on this machine. The page only says it: a request never starts a process."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path

#: Of the extra ``browser``.
_PACKAGES = ("slicer", "trame", "trame_rca")


def view_command(plan: Path) -> str:
    """The command that opens the plan in a folder in the browser; empty where the extra is not installed."""
    if any(find_spec(name) is None for name in _PACKAGES):
        return ""
    return f"autovolume view {shlex.quote(str(plan.absolute()))}"
