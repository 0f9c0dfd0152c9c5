"""A day in the words of the page: a row for each study whose last image came on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

from ...core.errors import InputError
from ...core.files.dicom_parsing import parse_dicom, quiet_libraries
from ...core.scouts.dicom import PARSE_ERRORS
from .assessments import latest_about, read_assessments
from .desk import DONE, StudyState
from .plan_view import plan_digest

_MOST_NAMES = 10_000


@dataclass(frozen=True)
class Row:
    """A study in the list.

    Attributes:
        name: of the study; patient: name and ID, empty where they are not to be shown.
        time: of the last image, local.
        stage: see ``StudyState``.
        level: light of the plan; empty where there is none.
        message: of the outcome, without the light.
        risk: of the plan, 0..1; None where the model states none.
        verdict: of the user on this very plan; empty before.
    """

    name: str
    patient: str
    time: str
    stage: str
    level: str
    message: str
    risk: float | None
    verdict: str

    @property
    def is_open(self) -> bool:
        """Whether it is in the queue."""
        return self.stage != DONE


@dataclass(frozen=True)
class Day:
    """A day with its rows, latest first, and the days before and after it on which images came."""

    day: date
    queue: tuple[Row, ...]
    done: tuple[Row, ...]
    earlier: date | None
    later: date | None


def day_view(states: Iterable[StudyState], day: date, names: bool) -> Day:
    """The studies of a day.

    Args:
        names: with names and IDs of the patients.
    """
    states = list(states)
    days = {day_of(state) for state in states}
    of_day = sorted((one for one in states if day_of(one) == day), key=lambda one: one.received_s, reverse=True)
    rows = [_row(state, names) for state in of_day]
    return Day(
        day,
        tuple(row for row in rows if row.is_open),
        tuple(row for row in rows if not row.is_open),
        max((other for other in days if other < day), default=None),
        min((other for other in days if other > day), default=None),
    )


def day_of(state: StudyState) -> date:
    """The local day on which its last image came."""
    return datetime.fromtimestamp(state.received_s).date()


def time_of(state: StudyState) -> str:
    """The local time of its last image."""
    return f"{datetime.fromtimestamp(state.received_s):%H:%M}"


def patient_of(images: Path) -> str:
    """Name and ID of the patient as the first image states them; empty where it states none."""
    first = min((path for path in images.rglob("*.dcm") if not path.name.startswith(".")), default=None)
    return _stated(first) if first else ""


@lru_cache(maxsize=_MOST_NAMES)
def _stated(path: Path) -> str:
    try:
        with quiet_libraries():
            header = parse_dicom(path, stop_before_pixels=True)
            header.decode()
            stated = [str(header.get(name, "") or "") for name in ("PatientName", "PatientID")]
    except (InputError, *PARSE_ERRORS):
        return ""
    return ", ".join(text for text in stated if text)


def _row(state: StudyState, names: bool) -> Row:
    outcome = state.outcome
    numbers = outcome.numbers if outcome else {}
    risk, level = numbers.get("risk"), str(numbers.get("light") or "")
    return Row(
        state.name,
        patient_of(state.images) if names else "",
        time_of(state),
        state.stage,
        level,
        outcome.message.removeprefix(f"{level}: ") if outcome else "",
        float(risk) if isinstance(risk, (int, float)) else None,
        _verdict(state),
    )


def _verdict(state: StudyState) -> str:
    try:
        latest = latest_about(read_assessments(state.plan), plan_digest(state.plan))
    except InputError:
        return ""
    return latest.verdict if latest else ""
