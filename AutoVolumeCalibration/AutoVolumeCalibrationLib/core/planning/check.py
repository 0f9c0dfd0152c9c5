"""One finding about the scouts or the plan."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclass(frozen=True)
class Check:
    """One finding about the scouts or the plan: level is "ok", "warning" or "error"."""

    name: str
    level: str
    message: str
