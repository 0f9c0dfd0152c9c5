"""The scene of a folder of label maps, from a small table of what their numbers are."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.json_files import json_text

from .scene import FORMAT

#: Columns before those of the sequences.
TISSUE, LABELS = "tissue", "labels"

#: Slices of a scout lie up to this part of the landmarks' half extent from their middle, ...
SLICE_RANGE_SHARE = 0.8
#: ... but never nearer than this, mm.
SLICE_RANGE_MM = 15.0

_REMEDY = "Save a CSV table with the columns tissue, labels and one column of signals (0 to 255) for each sequence."


def scene_text(table: Path, constellation: Constellation, origin: str) -> str:
    """The ``scene.json`` of label maps whose numbers ``table`` explains.

    One row a tissue: its name, its numbers in the label maps separated by spaces, and its signal in each sequence.
    Numbers that no row lists are air.

    Args:
        origin: landmark at the origin of the anatomy.

    Raises:
        InputError: the table cannot be read, or a number in it is not valid.
    """
    rows, sequences = _rows(table)
    points = constellation.reference_mm
    low, high = points.min(axis=0), points.max(axis=0)
    reach = np.maximum(SLICE_RANGE_MM, SLICE_RANGE_SHARE * (high - low) / 2)
    share = round(1 / len(sequences), 6)
    tissues = [{"name": "air", "labels": [0]}, *({"name": name, "labels": labels} for name, labels, _ in rows)]
    return json_text(
        {
            "format": FORMAT,
            "origin": origin,
            "center_mm": [round(float(v), 2) for v in (low + high) / 2],
            "slice_range_mm": [round(float(v), 1) for v in reach],
            "fields_of_view": {},
            "tissues": tissues,
            "sequences": [
                {"name": name, "share": share, "signals": [2.0, *(signals[i] for _, _, signals in rows)]}
                for i, name in enumerate(sequences)
            ],
            "likenesses": [],
            "varied": {"tissues": [], "share": 0.0},
        }
    )


def _rows(path: Path) -> tuple[list[tuple[str, list[int], list[float]]], list[str]]:
    """(tissue, its numbers, its signals) of each row, and the names of the sequences."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        columns = list(reader.fieldnames or ())
        sequences = [column for column in columns if column not in (TISSUE, LABELS)]
        if TISSUE not in columns or LABELS not in columns or not sequences or not rows:
            raise ValueError(f"its columns are {', '.join(columns) or 'none'}")
        found = [
            (row[TISSUE].strip(), [int(number) for number in row[LABELS].split()], [float(row[s]) for s in sequences])
            for row in rows
        ]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"is not a table of tissues ({error})", source=str(path), remedy=_REMEDY) from error
    return found, sequences
