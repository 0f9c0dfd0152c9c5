"""Point files of label maps and volumes: CSV with label, x, y, z (RAS mm), uncertainty_mm, source."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.errors import InputError

_REQUIRED_COLUMNS = ("label", "x", "y", "z")


def read_points(path: Path | str) -> dict[str, np.ndarray]:
    """Name -> (3,) RAS mm of every point of the file, in its order.

    Raises:
        InputError: the file cannot be read, a column is missing, a name repeats, a coordinate is not a finite number.
    """
    return {row["label"]: _position(row, path) for row in _rows(path)}


def read_uncertainties(path: Path | str) -> dict[str, float]:
    """Name -> standard deviation in mm of every point whose ``uncertainty_mm`` is stated."""
    return {
        row["label"]: _number(row, "uncertainty_mm", path)
        for row in _rows(path)
        if (row.get("uncertainty_mm") or "").strip()
    }


def _rows(path: Path | str) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read as a point file ({error})", source=str(path)) from error
    absent = [column for column in _REQUIRED_COLUMNS if column not in (reader.fieldnames or ())]
    if absent:
        raise InputError(
            f"has no column {', '.join(absent)}",
            source=str(path),
            remedy="A point file has the columns label, x, y, z, uncertainty_mm, source.",
        )
    names = [row["label"] for row in rows]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            f"names {', '.join(repeated)} more than once", source=str(path), remedy="Keep one row per point."
        )
    return rows


def _position(row: dict[str, str], path: Path | str) -> np.ndarray:
    return np.array([_number(row, column, path) for column in "xyz"])


def _number(row: dict[str, str], column: str, path: Path | str) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(
            f"{column} of {row['label']} is {row[column]!r}, not a finite number",
            source=str(path),
            remedy="Correct the row.",
        )
    return value
