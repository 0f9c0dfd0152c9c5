"""Whose the label maps in a folder are: ``people.csv`` beside them, columns map and person.

Several maps may be of one person, such as a knee at two angles. What is learnt and what is measured is split by person.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text

PEOPLE_FILE = "people.csv"


class _PeopleOfMaps(dict[str, str]):
    """Name of a label map -> its person; one that is not listed is nobody else's."""

    def __missing__(self, name: str) -> str:
        return name


def read_people_of_maps(folder: Path) -> Mapping[str, str]:
    """Name of a label map (without .nii.gz) -> its person; without the file each is another one's.

    Raises:
        InputError: the file is damaged.
    """
    path = Path(folder) / PEOPLE_FILE
    if not path.is_file():
        return _PeopleOfMaps()
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return _PeopleOfMaps({row["map"].strip(): row["person"].strip() for row in csv.DictReader(file)})
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, AttributeError) as error:
        raise InputError(
            f"is not a table of people ({error})", source=str(path), remedy="Write the columns map and person."
        ) from error


def write_people_of_maps(folder: Path, people: Mapping[str, str]) -> None:
    """Write the table."""
    write_text(folder / PEOPLE_FILE, "\n".join(["map,person", *(f"{m},{p}" for m, p in people.items())]) + "\n")
