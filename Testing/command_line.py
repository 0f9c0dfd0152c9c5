"""The sample study for the command line's tests, and what is left of a command that ran."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MAIN_FILE = ROOT / "AutoVolumeCalibration" / "AutoVolumeCalibrationLib" / "cli" / "main.py"

SAMPLE = ROOT / "Resources" / "SampleData" / "ColinScouts"
NRRD_SCOUTS = [SAMPLE / f"{plane}.nrrd" for plane in ("sagittal", "coronal", "axial")]
#: The middle slice of each plane: enough to plan on, and quick.
MIDDLE_SLICES = [SAMPLE / "dicom" / f"{number:04d}.dcm" for number in (3, 8, 13)]

RESULT_FILES = {"landmarks.mrk.json", "scanbox.mrk.json", "calibration.json", "overview.png"}
PLANNED_CODES = {0, 5}


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Planned:
    """A finished calibration: the command that made it, and its folder."""

    ran: Ran
    folder: Path


def content_of(folder: Path) -> dict[str, Any]:
    """What the calibration.json of a folder holds."""
    return json.loads((folder / "calibration.json").read_text(encoding="utf-8"))


def landmark(folder: Path, name: str) -> dict[str, Any]:
    """One landmark of a result folder's calibration.json."""
    return next(entry for entry in content_of(folder)["landmarks"] if entry["name"] == name)


def landmark_names(folder: Path, status: str = "predicted") -> list[str]:
    """Names of a result folder's landmarks of that status."""
    return [entry["name"] for entry in content_of(folder)["landmarks"] if entry["status"] == status]


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def edit_points(path: Path, edits: Mapping[str, Mapping[str, Any]], keep: Sequence[str] | None = None) -> Path:
    """Change fields of the named points of a Markups file, as a person at the screen would; ``keep`` only some."""
    data = json.loads(path.read_text(encoding="utf-8"))
    (markup,) = data["markups"]
    if keep is not None:
        markup["controlPoints"] = [point for point in markup["controlPoints"] if point["label"] in keep]
    for point in markup["controlPoints"]:
        point.update(edits.get(point["label"], {}))
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def at(position_ras_mm: Sequence[float]) -> dict[str, Any]:
    """The fields of a point that lies at a RAS position; Markups files hold LPS."""
    lps = np.asarray(position_ras_mm, dtype=float) * [-1, -1, 1]
    return {"position": lps.tolist(), "positionStatus": "defined"}


#: The fields of a point whose place was taken away.
NOWHERE = {"position": "", "positionStatus": "undefined"}


def write_points(path: Path, places_ras_mm: Mapping[str, Sequence[float]]) -> Path:
    """A point list as Slicer saves it, with these points and no descriptions."""
    points = [{"id": str(i), "label": name, **at(place)} for i, (name, place) in enumerate(places_ras_mm.items(), 1)]
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}
    path.write_text(json.dumps({"markups": [markup]}), encoding="utf-8")
    return path


def assert_refused(ran: Ran, code: int, named: object = "") -> None:
    """The command failed as the contract says: its code, nothing on stdout, and one line that names and mends."""
    assert ran.code == code, ran
    assert ran.out == ""
    assert ran.err.count("\n") == 1, ran.err
    assert ran.err.startswith("autovolume: ")
    assert ran.err.endswith("\n")
    assert str(named) in ran.err
    # what is wrong, then what to do: two sentences
    assert re.search(r"\S\. [A-Z].*\.\n$", ran.err), ran.err
