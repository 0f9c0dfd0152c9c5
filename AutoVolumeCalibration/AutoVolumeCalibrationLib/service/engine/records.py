"""What is kept of each study of a batch, in a file of its own: its outcome, or how often it was begun in vain.

Several processes on several machines share the folder. Only the holder of a study's claim (``claims``) writes.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...core.errors import InputError
from ...core.files.atomic_write import write_text
from ...core.files.json_files import read_json
from .outcome import Outcome

FORMAT = "AutoVolumeCalibration/batch-study/1"

#: A study whose worker died so often, without a reason that is known, is not begun again.
MOST_ATTEMPTS = 3


@dataclass(frozen=True)
class Record:
    """The state of a study.

    Attributes:
        key: digest of request and input that the rest holds for (``Work.key``).
        attempts: how often it was begun and neither ended nor was cancelled.
        stopped: the limit that it exceeded, as a clause; empty where there was none. limit: its value.
        outcome: of the last attempt that ended; stamp: names that end.
    """

    key: str = ""
    attempts: int = 0
    stopped: str = ""
    limit: float = 0.0
    outcome: Outcome | None = None
    stamp: str = ""

    def begun(self) -> Record:
        """One more attempt."""
        return replace(self, attempts=self.attempts + 1, outcome=None, stamp="")

    def cancelled(self) -> Record:
        """The attempt was ended from outside and does not count."""
        return replace(self, attempts=max(0, self.attempts - 1))

    def ended(self, outcome: Outcome) -> Record:
        """The attempt has an outcome."""
        return Record(self.key, outcome=outcome, stamp=uuid.uuid4().hex)


class Records:
    """The records in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, study: str, suffix: str) -> Path:
        """Where a file about the study lies. Any name is possible, and no folder gets many thousand files."""
        digest = hashlib.sha256(study.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / digest[:2] / f"{digest[2:34]}.{suffix}"

    def read(self, study: str) -> Record:
        """The record of a study, a new one where there is none or it is damaged."""
        path = self.path(study, "json")
        if not path.exists():
            return Record()
        try:
            data = read_json(path, InputError, "")
            return _record(data) if data["study"] == _text(study) else Record()
        except (InputError, KeyError, TypeError):
            return Record()

    def write(self, study: str, record: Record) -> None:
        """Replace the record; UsageError where that is not possible."""
        path = self.path(study, "json")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps({"format": FORMAT, "study": _text(study), **asdict(record)}))

    def forget(self, study: str) -> None:
        """Remove the record, and with it all attempts."""
        self.path(study, "json").unlink(missing_ok=True)


def _record(data: Mapping[str, Any]) -> Record:
    outcome = data["outcome"]
    return Record(
        str(data["key"]),
        int(data["attempts"]),
        str(data["stopped"]),
        float(data["limit"]),
        None if outcome is None else Outcome(**outcome),
        str(data["stamp"]),
    )


def _text(study: str) -> str:
    """A name of a folder need not be text, but JSON is."""
    return study.encode("utf-8", "backslashreplace").decode("utf-8")
