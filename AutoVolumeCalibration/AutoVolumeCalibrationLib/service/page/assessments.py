"""What the user decided about a plan, kept with it as ``assessment.json``: accepted, rejected or corrected.

In the sense of the IHE profile AI Results Assessment. Each decision names the plan that it was made about by a digest,
so that it does not count for a later plan of the same study.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.errors import InputError
from ...core.files.atomic_write import write_text
from ...core.files.json_files import json_text, read_json, require_schema

FORMAT = "AutoVolumeCalibration/assessment/1"
ASSESSMENT_FILE = "assessment.json"

#: Verdict -> what it says about the plan that was acquired.
VERDICTS: Mapping[str, str] = {
    "accepted": "used as planned",
    "corrected": "used after changes",
    "rejected": "not used",
}

_REMEDY = "Move it away; the decisions in it are then gone from the page."

#: Two decisions at a time would lose one of them.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Assessment:
    """One decision.

    Attributes:
        plan_sha256: digest of the plan (``core.exports.dicom.plan_record``).
        model_sha256: of the weights of the model that planned, empty without one.
        verdict: one of VERDICTS.
        assessed_at: ISO 8601, with the offset from UTC.
        by: as the user entered it, possibly empty.
        comment: the same.
    """

    plan_sha256: str
    model_sha256: str
    verdict: str
    assessed_at: str
    by: str = ""
    comment: str = ""


def read_assessments(folder: Path) -> tuple[Assessment, ...]:
    """The decisions about the plans that were in ``folder``, oldest first; InputError where the file is damaged."""
    path = folder / ASSESSMENT_FILE
    if not path.exists():
        return ()
    data = read_json(path, InputError, _REMEDY)
    require_schema(data, "assessment", path, InputError, _REMEDY)
    return tuple(_assessment(entry) for entry in data["assessments"])


def add_assessment(folder: Path, assessment: Assessment) -> None:
    """Add a decision; InputError where the earlier ones are damaged, UsageError where it cannot be written."""
    with _one_at_a_time:
        entries = [*read_assessments(folder), assessment]
        content = {"format": FORMAT, "assessments": [asdict(entry) for entry in entries]}
        write_text(folder / ASSESSMENT_FILE, json_text(content))


def latest_about(assessments: tuple[Assessment, ...], plan_sha256: str) -> Assessment | None:
    """The last decision about this plan."""
    return next((one for one in reversed(assessments) if one.plan_sha256 == plan_sha256), None)


def _assessment(entry: Mapping[str, Any]) -> Assessment:
    return Assessment(**entry)
