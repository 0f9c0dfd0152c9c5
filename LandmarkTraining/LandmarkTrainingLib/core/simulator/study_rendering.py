"""Studies with known landmarks, simulated from label maps or cut from volumes; ``storage.dataset`` writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutSlice, ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy

if TYPE_CHECKING:
    from .label_heads import LabelHeads
    from .render import SimulatedStudy
    from .slice_planes import SliceSettings
    from .study_variety import MotionLimits, StudyMotion


def studies_of_labels(
    labels: Path, constellation: Constellation, geometry: ScoutGeometry, count: int, seed: int
) -> Iterator[LabelledStudy]:
    """Simulated studies of the label maps in a folder: random one, pose, shape and contrast each.

    Of heads, or of what the folder's ``scene.json`` describes.
    """
    from .label_heads import find_heads
    from .label_maps import find_label_maps, load_simulated_anatomy
    from .scenes.scene import SCENE_FILE
    from .slice_planes import SliceSettings

    numbers = sorted(find_label_maps(labels)) if (labels / SCENE_FILE).is_file() else find_heads(labels)
    heads = load_simulated_anatomy(labels, numbers, constellation.names)
    for number in range(count):
        yield simulated_study(heads, constellation, geometry, (seed, number), SliceSettings())


def simulated_study(
    heads: LabelHeads,
    constellation: Constellation,
    geometry: ScoutGeometry | Sequence[ScoutGeometry],
    seed: tuple[int, ...],
    settings: SliceSettings,
    motion: MotionLimits | StudyMotion | None = None,
) -> LabelledStudy:
    """One simulated study as scouts with exact landmarks; ``geometry`` and ``motion`` as in ``simulate_study``."""
    from .render import simulate_study

    study = simulate_study(heads, constellation.mirror_indices, geometry, seed, settings, motion)
    scouts = scouts_of(study, constellation, geometry, settings)
    return replace(scouts, name=f"simulated_{seed[-1]:05d}", provenance={"kind": "simulated", "seed": list(seed)})


def scouts_of(
    study: SimulatedStudy,
    constellation: Constellation,
    geometry: ScoutGeometry | Sequence[ScoutGeometry],
    settings: SliceSettings,
) -> LabelledStudy:
    """The simulated slices as three stacks, with the landmarks."""
    images = study.images.cpu().numpy()
    planes = study.planes
    corners = [t.double().cpu().numpy() for t in (planes.center, planes.column_axis, planes.row_axis)]
    half = (settings.matrix - 1) / 2 * settings.pixel_mm
    spacing = (settings.pixel_mm, settings.pixel_mm)
    of_plane = (geometry,) * len(PLANES) if isinstance(geometry, ScoutGeometry) else tuple(geometry)
    thicknesses = [of_plane[number].thickness_mm for number in planes.planes]
    slices = [
        ScoutSlice(image, center - half * (row + column), column, row, spacing, thickness)
        for image, center, column, row, thickness in zip(images, *corners, thicknesses, strict=True)
    ]
    stacks = tuple(
        ScoutStack(plane, tuple(s for s, number in zip(slices, planes.planes, strict=True) if number == i))
        for i, plane in enumerate(PLANES)
    )
    positions = study.landmarks_mm.double().cpu().numpy()
    landmarks = _landmarks(dict(zip(constellation.names, positions, strict=True)))
    return LabelledStudy("simulated", stacks, landmarks, {})


def studies_of_volumes(
    data: Path, split: str, constellation: Constellation, geometry: ScoutGeometry, count: int, seed: int
) -> Iterator[LabelledStudy]:
    """Studies cut from real volumes (``heads.csv``) in random poses, head after head."""
    from ..reference_heads.heads import list_heads
    from ..reference_heads.poses import head_to_scanner, move_named, posed_volume, random_pose

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


def _landmarks(points: dict[str, np.ndarray]) -> tuple[Landmark, ...]:
    known = {name: np.isfinite(point).all() for name, point in points.items()}
    return tuple(Landmark(name).corrected(point) if known[name] else Landmark(name) for name, point in points.items())
