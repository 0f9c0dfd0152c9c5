"""The plan as data that travels inside DICOM objects: calibration.json without paths, names and times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...storage.results import SavedCalibration, saved_from_dict
from .uids import digest_of

#: What leads to this computer or differs between two runs that plan the same, and what takes its place.
_LEFT_OUT: Mapping[str, Any] = {"sources": [], "study": "", "protocol_file": None, "timings_s": {}}


def plan_record(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of calibration.json without what holds on this computer only."""
    record = {**content, **_LEFT_OUT}
    if "follow_up" in record:
        record["follow_up"] = {**record["follow_up"], "baseline": ""}
    return record


def record_digest(record: Mapping[str, Any]) -> str:
    """SHA-256 that names a plan: equal for equal plans."""
    return digest_of(record)


def saved_plan(record: Mapping[str, Any], source: str) -> SavedCalibration:
    """The plan of a record; InputError naming ``source`` where it does not fit the schema of calibration.json."""
    return saved_from_dict(record, source)
