"""Any anatomy by its name or file: a shipped one, a measured one, or a draft without positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation, constellation_from_dict
from AutoVolumeCalibrationLib.core.errors import ProtocolError
from AutoVolumeCalibrationLib.core.files.json_files import read_json, require_schema
from AutoVolumeCalibrationLib.core.files.resources import resource_path

from .draft import Draft, draft_from_dict, is_draft

_REMEDY = "Correct the anatomy file, or write its draft again."


@dataclass(frozen=True, eq=False)
class Anatomy:
    """An anatomy: ``name``, ``title`` and landmarks, whose positions are NaN in a ``draft`` (None: measured)."""

    name: str
    title: str
    constellation: Constellation
    draft: Draft | None = None


def read_any_anatomy(name_or_file: str | Path) -> Anatomy:
    """The shipped anatomy of that name, or the anatomy or draft in a ``.json`` file.

    Raises:
        ProtocolError: unknown name, or a damaged file.
    """
    path = _path(name_or_file)
    data = read_json(path, ProtocolError, _REMEDY)
    if is_draft(data):
        draft = draft_from_dict(data, path)
        return Anatomy(draft.name, draft.title, draft.constellation(), draft)
    require_schema(data, "anatomy", path, ProtocolError, _REMEDY)
    return Anatomy(data["name"], data.get("title", data["name"]), constellation_from_dict(data, path))


def read_measured_anatomy(name_or_file: str | Path) -> Anatomy:
    """Like ``read_any_anatomy``; ProtocolError for a draft too, whose positions are not known."""
    anatomy = read_any_anatomy(name_or_file)
    if anatomy.draft:
        raise ProtocolError(
            "is a draft: where its landmarks lie is not measured yet",
            source=str(name_or_file),
            remedy="Measure it from the points of people first.",
        )
    return anatomy


def _path(name_or_file: str | Path) -> Path:
    if str(name_or_file).endswith(".json"):
        return Path(name_or_file)
    shipped = {path.stem: path for path in resource_path("Anatomies").glob("*.json")}
    if str(name_or_file) not in shipped:
        raise ProtocolError(
            f"unknown anatomy {name_or_file}", remedy=f"Give a .json file or one of: {', '.join(sorted(shipped))}."
        )
    return shipped[str(name_or_file)]
