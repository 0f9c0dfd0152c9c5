"""The scene of a simulated anatomy other than the head: its tissues, and how its scouts are usually positioned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.json_files import read_json

from ..effects.fields_of_view import FieldsOfView
from .extent import Extent
from .other_limb import OtherLimb
from .tissue_table import TissueTable

#: Describes the label maps in the folder that it lies in.
SCENE_FILE = "scene.json"

FORMAT = "AutoVolumeCalibration/scene/1"


@dataclass(frozen=True, eq=False)
class Scene:
    """How label maps become slices.

    Attributes:
        table: the tissues.
        origin: landmark at the origin of the anatomy's space; its axes are those of the label maps.
        center_mm: (3,) point of that space that is brought near the isocentre.
        slice_range_mm: (3,) largest distance of sagittal, coronal and axial slices from the isocentre.
        fields: the fields of view.
        other_limb: how often and where the other leg or arm is in view; None: never.
        extent: what a scan box should hold; None: the landmarks.
    """

    table: TissueTable
    origin: str
    center_mm: np.ndarray
    slice_range_mm: np.ndarray
    fields: FieldsOfView = field(default_factory=FieldsOfView)
    other_limb: OtherLimb | None = None
    extent: Extent | None = None


def read_scene(folder: Path) -> Scene:
    """The scene that describes the label maps in a folder; InputError where the file is damaged."""
    path = Path(folder) / SCENE_FILE
    data = read_json(path, InputError, "Write the folder again.")
    try:
        return scene_from_dict(data)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"is not a scene ({error})", source=str(path), remedy="Write the folder again.") from error


def scene_from_dict(data: Mapping[str, Any]) -> Scene:
    """The scene of a JSON object."""
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}")
    limb, extent, table = data.get("other_limb"), data.get("extent"), TissueTable.from_dict(data)
    return Scene(
        table,
        str(data["origin"]),
        np.array(data["center_mm"], dtype=float),
        np.array(data["slice_range_mm"], dtype=float),
        FieldsOfView(**{key: _pair(value) for key, value in data["fields_of_view"].items()}),
        None if limb is None else OtherLimb(float(limb["share"]), _pair(limb["distance_mm"])),
        None if extent is None else Extent.from_dict(extent, table.names),
    )


def _pair(value: Any) -> Any:
    """A list of two as a tuple, a number as it is."""
    return (float(value[0]), float(value[1])) if isinstance(value, list) else float(value)
