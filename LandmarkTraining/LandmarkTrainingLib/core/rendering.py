"""Write simulated studies as a data set folder (DESIGN 11): scouts as NRRD, landmarks as Slicer markups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy import Constellation
from AutoVolumeCalibrationLib.core.coordinates import PLANES, swap_ras_lps
from AutoVolumeCalibrationLib.core.errors import UsageError
from AutoVolumeCalibrationLib.core.json_files import json_text
from AutoVolumeCalibrationLib.core.landmarks import Landmark
from AutoVolumeCalibrationLib.core.markups_json import write_landmarks
from AutoVolumeCalibrationLib.core.reslice import ScoutGeometry, cut_three_planes
from AutoVolumeCalibrationLib.core.scouts import ScoutSlice, ScoutStack
from AutoVolumeCalibrationLib.core.whole_files import replacing, write_text

if TYPE_CHECKING:
    from .simulator.label_heads import LabelHeads
    from .simulator.render import SliceSettings

DATASET_FORMAT = "AutoVolumeCalibration/dataset/1"


@dataclass(frozen=True, eq=False)
class LabelledStudy:
    """Scouts with their landmarks, and where both came from (no patient data)."""

    name: str
    stacks: tuple[ScoutStack, ...]
    landmarks: tuple[Landmark, ...]
    provenance: dict[str, Any]


def studies_of_labels(
    labels: Path, constellation: Constellation, geometry: ScoutGeometry, count: int, seed: int
) -> Iterator[LabelledStudy]:
    """Simulated studies of the label maps in a folder: random head, pose, shape and contrast each."""
    from .simulator.label_heads import find_heads, load_label_heads
    from .simulator.render import SliceSettings

    heads = load_label_heads(labels, find_heads(labels), constellation.names)
    for number in range(count):
        yield simulated_study(heads, constellation, geometry, (seed, number), SliceSettings())


def simulated_study(
    heads: LabelHeads,
    constellation: Constellation,
    geometry: ScoutGeometry,
    seed: tuple[int, ...],
    settings: SliceSettings,
) -> LabelledStudy:
    """One simulated study as scouts with exact landmarks."""
    from .simulator.render import simulate_study

    study = simulate_study(heads, constellation.mirror_indices, geometry, seed, settings)
    images = study.images.cpu().numpy()
    planes = study.planes
    corners = [t.double().cpu().numpy() for t in (planes.center, planes.column_axis, planes.row_axis)]
    half = (settings.matrix - 1) / 2 * settings.pixel_mm
    spacing = (settings.pixel_mm, settings.pixel_mm)
    slices = [
        ScoutSlice(image, center - half * (row + column), column, row, spacing, geometry.thickness_mm)
        for image, center, column, row in zip(images, *corners, strict=True)
    ]
    per_plane = geometry.slices
    stacks = tuple(
        ScoutStack(plane, tuple(slices[i * per_plane : (i + 1) * per_plane])) for i, plane in enumerate(PLANES)
    )
    places = study.landmarks_mm.double().cpu().numpy()
    landmarks = _landmarks(dict(zip(constellation.names, places, strict=True)))
    return LabelledStudy(f"simulated_{seed[-1]:05d}", stacks, landmarks, {"kind": "simulated", "seed": list(seed)})


def studies_of_volumes(
    data: Path, split: str, constellation: Constellation, geometry: ScoutGeometry, count: int, seed: int
) -> Iterator[LabelledStudy]:
    """Studies cut from real volumes (``heads.csv``) in random poses, head after head."""
    from .heads import list_heads
    from .poses import head_to_scanner, move_named, posed_volume, random_pose

    heads = list_heads(data, split)
    for number in range(count):
        head = heads[number % len(heads)]
        pose = random_pose(np.random.default_rng((seed, number)))
        transform = head_to_scanner(pose, head.origin_mm, head.axes)
        stacks = tuple(cut_three_planes(posed_volume(head.volume(), transform), geometry, center_mm=np.zeros(3)))
        points = move_named(transform, head.points)
        landmarks = _landmarks({name: points.get(name, np.full(3, np.nan)) for name in constellation.names})
        provenance = {"kind": "volume", "head": head.id, "subject": head.subject, "seed": [seed, number]}
        yield LabelledStudy(f"{head.id}_{number:05d}", stacks, landmarks, provenance)


def write_dataset(folder: Path, studies: Iterable[LabelledStudy], constellation: Constellation) -> int:
    """Write ``dataset.json`` and ``studies/<name>/...``; returns how many studies.

    Raises:
        UsageError: the folder holds a data set already, or cannot be written.
    """
    if (folder / "dataset.json").exists():
        raise UsageError("holds a data set already", source=str(folder), remedy="Give another folder.")
    names = []
    for study in studies:
        place = folder / "studies" / study.name
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot be made ({error.strerror})", source=str(place)) from error
        for stack in study.stacks:
            write_stack(place / f"{stack.plane}.nrrd", stack)
        write_landmarks(place / "landmarks.mrk.json", study.landmarks, constellation)
        write_text(place / "provenance.json", json_text(study.provenance))
        names.append(study.name)
    write_text(folder / "dataset.json", json_text({"format": DATASET_FORMAT, "studies": names}))
    return len(names)


def write_stack(path: Path, stack: ScoutStack) -> None:
    """Write an evenly spaced stack as an image (k, row, column) with its geometry."""
    import SimpleITK

    first = stack.slices[0]
    positions = stack.positions_mm
    gap = float(np.diff(positions).mean()) if len(positions) > 1 else stack.thickness_mm
    image = SimpleITK.GetImageFromArray(np.stack([s.pixels for s in stack.slices]))
    image.SetSpacing([first.spacing_mm[1], first.spacing_mm[0], gap])
    axes = np.stack([first.column_axis, first.row_axis, stack.normal])
    image.SetDirection(swap_ras_lps(axes).T.ravel().tolist())
    image.SetOrigin(swap_ras_lps(first.origin_mm).tolist())
    with replacing(path) as temporary:
        SimpleITK.WriteImage(image, str(temporary), useCompression=True)


def _landmarks(points: dict[str, np.ndarray]) -> tuple[Landmark, ...]:
    known = {name: np.isfinite(point).all() for name, point in points.items()}
    return tuple(Landmark(name).corrected(point) if known[name] else Landmark(name) for name, point in points.items())
