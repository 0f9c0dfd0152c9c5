"""Follow a run by its folder, during and after training: the growing log, the newest picture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .run_folder import LOG_FILE, PICTURES, PREDICTIONS

#: Columns of the log that the window shows.
STEP, STEPS, LOSS, ERROR, SECONDS_LEFT = "step", "steps", "loss", "check_median_mm", "seconds_left"
#: The 95th percentile of the same error; logs of earlier versions may lack it.
ERROR_P95 = "check_p95_mm"
#: The mean, and the landmark with the largest median error: its name and that error; flat channels by name.
ERROR_MEAN, WORST, WORST_ERROR, FLAT = "check_mean_mm", "check_worst", "check_worst_mm", "check_flat"


@dataclass(frozen=True)
class Progress:
    """Progress of a run at its last checkpoint; None where the log does not hold the value.

    Attributes:
        error_mm, best_mm: median in-plane error on the validation slices, now and at the best checkpoint.
        p95_mm: its 95th percentile now: a good median may hide slices that are far off.
        mean_mm: its mean now.
        worst, worst_mm: the landmark with the largest median error, and that error.
        flat: landmarks whose heatmaps are flat while others are found: the run does not learn them.
    """

    step: int
    steps: int | None
    seconds_left: float | None
    error_mm: float | None
    best_mm: float | None
    p95_mm: float | None = None
    mean_mm: float | None = None
    worst: str = ""
    worst_mm: float | None = None
    flat: tuple[str, ...] = ()

    @property
    def fraction(self) -> float:
        """0..1."""
        return min(1.0, self.step / self.steps) if self.steps else 0.0


class RunWatch:
    """Reads a run's log incrementally.

    Attributes:
        rows: the lines so far in the order of their steps, plain JSON objects.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        self._offset, self._rest = 0, b""

    def read(self) -> bool:
        """Read what was written since the last call; True if ``rows`` changed.

        A last line without its end waits for the next call. A log that became shorter (a resumed run drops what
        came after its checkpoint) is read again.
        """
        path = self.folder / LOG_FILE
        try:
            size = path.stat().st_size
            shorter = size < self._offset
            if shorter:
                self.rows, self._offset, self._rest = [], 0, b""
            with open(path, "rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return False
        self._offset += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        added = [self._add(line) for line in lines]
        return shorter or any(added)

    @property
    def progress(self) -> Progress | None:
        """None before the first checkpoint."""
        if not self.rows:
            return None
        last = self.rows[-1]
        errors = [error for row in self.rows if (error := number(row, ERROR)) is not None]
        steps = number(last, STEPS)
        return Progress(
            step=int(last[STEP]),
            steps=int(steps) if steps else None,
            seconds_left=number(last, SECONDS_LEFT),
            error_mm=number(last, ERROR),
            best_mm=min(errors, default=None),
            p95_mm=number(last, ERROR_P95),
            mean_mm=number(last, ERROR_MEAN),
            worst=worst_landmark(last),
            worst_mm=number(last, WORST_ERROR),
            flat=flat_landmarks(last),
        )

    def newest_picture(self, kind: str = PREDICTIONS) -> Path | None:
        """The picture of the latest step that has one; ``kind``: PREDICTIONS or KERNELS."""
        return max((self.folder / PICTURES).glob(f"{kind}_*.png"), default=None, key=lambda path: path.name)

    def _add(self, line: bytes) -> bool:
        """Whether the line belongs to a log. A repeated step replaces its earlier line and all later ones."""
        try:
            row = json.loads(line)
            step = row[STEP]
            if not isinstance(step, int):
                return False
        except (ValueError, TypeError, LookupError):
            return False
        while self.rows and self.rows[-1][STEP] >= step:
            self.rows.pop()
        self.rows.append(row)
        return True


def step_text(line: Mapping[str, Any], error: str, unit: str) -> str:
    """A checkpoint's line of the log in words: loss, errors over all landmarks and of the worst, time left.

    Args:
        error: what the error is of.
        unit: of the lengths in the log.
    """
    median, p95, left = (number(line, column) for column in (ERROR, ERROR_P95, SECONDS_LEFT))
    parts = [f"step {line[STEP]} of {line[STEPS]}: loss {line[LOSS]:.4g}"]
    if median is not None:
        numbers = {"median": median, "mean": number(line, ERROR_MEAN), "95th percentile": p95}
        said = (f"{name} {value:.2f} {unit}" for name, value in numbers.items() if value is not None)
        parts.append(f"{error} {', '.join(said)}")
    parts += [f"{title} {value:.2f} {unit}" for title, value in _of_anatomies(line).items()]
    if (worst := number(line, WORST_ERROR)) is not None:
        parts.append(f"worst {worst_landmark(line)} {worst:.2f} {unit}")
    if flat := flat_landmarks(line):
        parts.append(f"flat: {' '.join(flat)}")
    if left is not None:
        parts.append(f"{left / 60:.0f} min left")
    return ", ".join(parts)


def _of_anatomies(line: Mapping[str, Any]) -> dict[str, float]:
    """Anatomy -> its median error, of a run that learns several."""
    start, end = "check_", "_median_mm"
    titles = [key[len(start) : -len(end)] for key in line if key.startswith(start) and key.endswith(end)]
    values = {title: number(line, f"{start}{title}{end}") for title in titles if title}
    return {title: value for title, value in values.items() if value is not None}


def worst_landmark(line: Mapping[str, Any]) -> str:
    """Name of the worst landmark in a line of the log, "" where it has none."""
    name = line.get(WORST)
    return name if isinstance(name, str) else ""


def flat_landmarks(line: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the landmarks with flat heatmaps in a line of the log; none in logs of earlier versions."""
    names = line.get(FLAT)
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def number(row: Mapping[str, Any], column: str) -> float | None:
    """A finite number of a row, None where there is none."""
    value = row.get(column)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
