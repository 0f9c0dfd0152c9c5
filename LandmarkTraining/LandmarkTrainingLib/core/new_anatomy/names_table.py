"""A table of landmark names (CSV), or the names of points that are already placed, as a draft."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES

from ..reference_heads.points_anatomy import pairs_by_name
from .draft import Draft, DraftLandmark, require_consistent

#: Columns of a table; all but the name may be absent.
COLUMNS = ("name", "title", "definition", "mirror", "planes")

_REMEDY = f"Save a CSV table with the columns {', '.join(COLUMNS)}; only name is needed."


def draft_of_table(path: Path, name: str, title: str) -> Draft:
    """The draft ``name`` of a CSV table with one landmark a row.

    ``mirror`` names the partner on the other side, empty on the midline; without this column partners follow from the
    names (``RX`` and ``LX``, ``X_R`` and ``X_L``). ``planes`` are separated by spaces, empty for all.

    Raises:
        InputError: the file cannot be read, or has no column ``name``.
        ProtocolError: names or partners are not valid.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error, AttributeError) as error:
        raise InputError(f"cannot be read as a table ({error})", source=str(path), remedy=_REMEDY) from error
    columns = [column for column in reader.fieldnames or () if column]
    unknown = [column for column in columns if column not in COLUMNS]
    if "name" not in columns or unknown:
        what = f"has an unknown column {unknown[0]}" if unknown else "has no column name"
        raise InputError(what, source=str(path), remedy=_REMEDY)
    rows = [row for row in rows if any(row.values())]
    names = [row["name"] for row in rows]
    partners = [row.get("mirror") or None for row in rows] if "mirror" in columns else _partners(names)
    landmarks = tuple(
        DraftLandmark(
            row["name"],
            row.get("title", ""),
            row.get("definition", ""),
            tuple((row.get("planes") or " ".join(PLANES)).split()),
            partner,
        )
        for row, partner in zip(rows, partners, strict=True)
    )
    draft = Draft(name, title, landmarks)
    require_consistent(draft, path)
    return draft


def draft_of_names(names: Sequence[str], name: str, title: str, source: Path | str) -> Draft:
    """The draft ``name`` of landmarks called ``names``, with partners that follow from these."""
    landmarks = tuple(
        DraftLandmark(each, mirror=partner) for each, partner in zip(names, _partners(names), strict=True)
    )
    draft = Draft(name, title, landmarks)
    require_consistent(draft, source)
    return draft


def _partners(names: Sequence[str]) -> list[str | None]:
    pairs = pairs_by_name(names)
    return [None if j == i else names[j] for i, j in enumerate(pairs)]
