"""The acquisition parameters of ScanHub (open scanner console, https://github.com/brain-link/scanhub) as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...files.atomic_write import write_text
from ...files.json_files import json_text, read_json
from ...geometry.rotations import rotation_of_tilts, tilts_of_rotation
from ..scan_geometry import ScanGeometry
from .patient_position import HEAD_FIRST_SUPINE, device_from_lps

_REMEDY = "Give a file that this program exported."


def scanhub_parameters(geometry: ScanGeometry, patient_position: str = HEAD_FIRST_SUPINE) -> dict[str, Any]:
    """``acquisition_parameter`` as ScanHub's tasks hold it, and beside it what the numbers mean.

    ScanHub states neither units nor the order of the rotations. Here: offset in mm along the device axes; rotation in
    degrees about x, then about the new y, then about the new z, of read, phase and slice out of x, y and z. The
    scaling stays 1, because it is relative to a sequence that is not known here; the field of view is stated in mm.
    """
    device = device_from_lps(patient_position)
    rotation = device @ geometry.directions.T
    return {
        "acquisition_parameter": {
            "fov_scaling": _xyz(np.ones(3)),
            "fov_offset": _xyz(device @ geometry.center_mm),
            "fov_rotation": _xyz(np.rad2deg(tilts_of_rotation(rotation))),
        },
        "plan": {
            "fov_offset_unit": "mm",
            "fov_rotation_unit": "deg",
            "fov_rotation_order": "about x, then the new y, then the new z",
            "patient_position": patient_position,
            "fov_mm": _xyz(geometry.fov_mm),
            "slices": geometry.slices,
            "slice_thickness_mm": geometry.thickness_mm,
            "gap_mm": geometry.gap_mm,
        },
    }


def write_scanhub(geometry: ScanGeometry, path: Path, patient_position: str = HEAD_FIRST_SUPINE) -> None:
    """Write the parameters as JSON; UsageError where the file cannot be written."""
    write_text(path, json_text(scanhub_parameters(geometry, patient_position)))


def read_scanhub(path: Path) -> ScanGeometry:
    """The geometry of a file that ``write_scanhub`` wrote; InputError where it is another."""
    data = read_json(path, InputError, _REMEDY)
    try:
        parameters, plan = data["acquisition_parameter"], data["plan"]
        device = device_from_lps(plan["patient_position"])
        rotation = rotation_of_tilts(np.deg2rad(_vector(parameters["fov_rotation"])))
        return ScanGeometry(
            device.T @ _vector(parameters["fov_offset"]),
            (device.T @ rotation).T,
            _vector(plan["fov_mm"]) * _vector(parameters["fov_scaling"]),
            int(plan["slices"]),
            float(plan["slice_thickness_mm"]),
            float(plan["gap_mm"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("does not hold acquisition parameters of a plan", source=str(path), remedy=_REMEDY) from error


def _xyz(values: np.ndarray) -> dict[str, float]:
    return {name: round(float(value), 9) + 0.0 for name, value in zip("xyz", values, strict=True)}


def _vector(entry: dict[str, float]) -> np.ndarray:
    return np.array([float(entry[name]) for name in "xyz"])
