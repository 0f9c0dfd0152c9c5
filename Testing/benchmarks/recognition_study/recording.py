"""Measured limits, into the bundle of the model."""

from __future__ import annotations

from pathlib import Path

from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text
from AutoVolumeCalibrationLib.core.models.bundle import read_metadata


def record(folder: Path, limit: float, lead: float, studies: int) -> None:
    """Write the limits into the bundle, beside the others."""
    path = folder / "configs" / "metadata.json"
    metadata = read_metadata(folder)
    stated = {**metadata.get("limits", {}), "recognition_score": limit, "recognition_lead": lead}
    evidence = {**metadata.get("evidence", {}), "recognition": f"measured on {studies} studies"}
    write_text(path, json_text({**metadata, "limits": stated, "evidence": evidence}))
