"""Label maps of any anatomy, described by the ``scene.json`` beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError

from ..reference_heads.label_landmarks import read_label_map
from ..reference_heads.point_files import read_points
from .effects.effect_settings import SimulationEffects
from .label_heads import LabelHeads, find_heads, load_label_heads
from .people_of_maps import read_people_of_maps
from .scenes.scene import SCENE_FILE, read_scene

#: Effects that need no head.
EFFECTS_OF_ALL = ("coil_shading", "small_field")

_NUMBERED = re.compile(r".*_(\d+)\.nii(\.gz)?$")


def load_simulated_anatomy(
    folder: Path,
    numbers: Sequence[int],
    names: Sequence[str],
    *,
    corrected: bool = False,
    effects: SimulationEffects | None = None,
) -> LabelHeads:
    """The numbered label maps of a folder: of heads, or of what the folder's ``scene.json`` describes.

    Beside ``<name>_<number>.nii.gz`` lies ``<name>_<number>.csv`` with the landmarks.

    Args:
        corrected, effects: of heads, see ``load_label_heads``.

    Raises:
        InputError: a file is missing or cannot be read, or the label maps differ in matrix.
        UsageError: ``numbers`` is empty, or a setting is for heads only.
    """
    if not (Path(folder) / SCENE_FILE).is_file():
        return load_label_heads(folder, numbers, names, corrected=corrected, effects=effects)
    _require_no_head(corrected, effects or SimulationEffects(), folder)
    if not numbers:
        raise UsageError("no label map is named", source=str(folder), remedy="Set train_heads and check_heads.")
    scene = read_scene(folder)
    files = find_label_maps(folder)
    tissues, matrices, landmarks = [], [], []
    for number in numbers:
        if number not in files:
            raise InputError(f"has no label map {number}", source=str(folder), remedy="Correct the numbers.")
        volume = read_label_map(files[number])
        points = read_points(_beside(files[number]))
        if scene.origin not in points:
            raise InputError(f"lacks {scene.origin}", source=str(_beside(files[number])), remedy="Add the landmark.")
        origin = points[scene.origin]
        array = np.clip(volume.array, 0, None)
        tissues.append(scene.table.lookup(int(array.max()))[array])
        inverse = np.linalg.inv(volume.affine)
        matrices.append(np.column_stack([inverse[:3, :3], inverse[:3, :3] @ origin + inverse[:3, 3]]))
        unknown = np.full(3, np.nan)
        landmarks.append([points[name] - origin if name in points else unknown for name in names])
    if len({t.shape for t in tissues}) > 1:
        raise InputError("the label maps differ in matrix size", source=str(folder), remedy="Resample them alike.")
    return LabelHeads(
        torch.from_numpy(np.ascontiguousarray(np.stack(tissues))),
        torch.from_numpy(np.stack(matrices)).float(),
        torch.from_numpy(np.array(landmarks)).float(),
        tuple(names),
        scene=scene,
        people=tuple(read_people_of_maps(folder)[files[number].name.split(".nii")[0]] for number in numbers),
    )


def find_label_maps(folder: Path) -> dict[int, Path]:
    """Number -> file of the label maps in a folder."""
    matches = [(_NUMBERED.match(path.name), path) for path in sorted(Path(folder).iterdir())]
    return {int(match.group(1)): path for match, path in matches if match}


def numbers_of_maps(folder: Path) -> dict[int, str]:
    """Number -> name of the label maps in a folder, of heads or of what its ``scene.json`` describes.

    Raises:
        InputError: it holds none.
    """
    if not (Path(folder) / SCENE_FILE).is_file():
        return {number: f"head_{number:02d}" for number in find_heads(folder)}
    files = find_label_maps(folder)
    if not files:
        raise InputError(
            "holds no label map NAME_01.nii.gz", source=str(folder), remedy="Name the folder of label maps."
        )
    return {number: files[number].name.split(".nii")[0] for number in sorted(files)}


def require_landmarks(heads: LabelHeads, folder: Path, protocol: str) -> None:
    """Refuse label maps without any landmark of a protocol: they are of another anatomy.

    Raises:
        InputError: naming the folder.
    """
    if not torch.isfinite(heads.landmarks_mm).any():
        raise InputError(
            f"has none of the landmarks of protocol {protocol}",
            source=str(folder),
            remedy="Name the protocol of its anatomy with --protocol.",
        )


def _beside(path: Path) -> Path:
    return path.with_name(path.name.split(".nii")[0] + ".csv")


def _require_no_head(corrected: bool, effects: SimulationEffects, folder: Path) -> None:
    """UsageError where a setting is on that only heads have."""
    used = [e.name for e in fields(effects) if getattr(effects, e.name) > 0 and e.name not in EFFECTS_OF_ALL]
    if corrected:
        used.append("corrected_targets")
    if used:
        raise UsageError(
            f"{', '.join(used)} can be simulated in heads only",
            source=str(folder),
            remedy=f"Leave it out; {' and '.join(EFFECTS_OF_ALL)} work on all anatomies.",
        )
