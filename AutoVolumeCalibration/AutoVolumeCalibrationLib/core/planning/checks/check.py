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


def level_above(value: float, limits: tuple[float, float]) -> str | None:
    """The level of a value that should be small: a warning above the first limit, an error above the second."""
    return ERROR if value > limits[1] else WARNING if value > limits[0] else None


def level_below(value: float, limits: tuple[float, float]) -> str | None:
    """The level of a value that should be large: a warning below the first limit, an error below the second."""
    return ERROR if value < limits[1] else WARNING if value < limits[0] else None
