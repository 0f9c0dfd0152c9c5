"""Measure the reference constellation of the brain from label maps, for an anatomy file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.constellation import constellation_from_dict
from AutoVolumeCalibrationLib.core.errors import InputError, ProtocolError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json, require_schema

from .brain_extremes import NORMAL_AXIS
from .label_landmarks import hippocampus_ends, read_label_map
from .mean_shape import MeasuredShape, measure_shape
from .point_files import read_points

#: Variation that a few heads do not show: further deviation of each extreme, mm, and of the head's log sizes along the
#: three axes. Measured without four of twenty heads, the shape of these errs by 1.73 times the stated deviation (0.99
#: on the heads that it was measured on); widened by this, 0.93 times (``Testing/benchmarks/fit_variants.py``).
EXTREME_SD_MM, LOG_SIZE_SD = 2.0, 0.03


def update_anatomy(anatomy_json: Path, labels_folder: Path) -> None:
    """Replace the numbers of an anatomy file by those of the heads in ``labels_folder``, rounded to 0.01 mm.

    Raises:
        ProtocolError: the anatomy file is damaged.
        InputError: the heads cannot be read, or lack AC, PC or too many points.
        UsageError: the file cannot be written.
    """
    remedy = "Correct the anatomy file."
    data = read_json(anatomy_json, ProtocolError, remedy)
    require_schema(data, "anatomy", anatomy_json, ProtocolError, remedy)
    constellation = constellation_from_dict(data, anatomy_json)
    names = constellation.names
    shape = widened(measure_shape(read_heads(labels_folder), names, constellation.mirror_indices), names)
    for entry, reference, sd in zip(data["landmarks"], shape.reference_mm, shape.sd_mm, strict=True):
        entry["reference_mm"], entry["sd_mm"] = rounded(reference), rounded(sd)
    data["modes_mm"] = [rounded(mode.reshape(-1, 3)) for mode in shape.modes_mm]
    write_text(anatomy_json, json_text(data))


def read_heads(labels_folder: Path) -> list[dict[str, np.ndarray]]:
    """Name -> (3,) RAS of every head: ``head_NN.csv`` and the hippocampi of ``head_NN.nii.gz`` beside it."""
    tables = sorted(Path(labels_folder).glob("head_*.csv"))
    if not tables:
        raise InputError("has no head_NN.csv", source=str(labels_folder), remedy="Choose the folder of the label maps.")
    heads = []
    for table in tables:
        points = read_points(table)
        if not {"AC", "PC"} <= points.keys():
            raise InputError("lacks AC or PC", source=str(table), remedy="Label it or leave it out.")
        points.update(hippocampus_ends(read_label_map(table.with_suffix(".nii.gz")), points["AC"] - points["PC"]))
        heads.append(points)
    return heads


def widened(shape: MeasuredShape, names: Sequence[str]) -> MeasuredShape:
    """The shape with the further variation of unmeasured heads: EXTREME_SD_MM and LOG_SIZE_SD.

    The part that the three sizes have in common is left out: it is the size of the head, which every fit estimates.
    """
    own_sizes = LOG_SIZE_SD * (np.eye(3) - 1 / 3)
    stretches = np.array([(shape.reference_mm * axis).ravel() for axis in own_sizes])
    own = np.array([EXTREME_SD_MM if name in NORMAL_AXIS else 0.0 for name in names])[:, None]
    sd = np.sqrt(shape.sd_mm**2 + own**2 + (stretches**2).sum(axis=0).reshape(-1, 3))
    return MeasuredShape(shape.reference_mm, sd, np.vstack([shape.modes_mm, stretches]))


def rounded(values: np.ndarray) -> list:
    """As the anatomy files state lengths: to 0.01 mm."""
    return (np.round(values, 2) + 0.0).tolist()  # + 0.0 turns -0.0 into 0.0
