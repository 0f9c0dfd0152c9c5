"""Studies from a site's own files: scouts with points, and volumes with points."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.scouts.image_file import IMAGE_SUFFIXES, read_volume
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry, cut_three_planes, scout_center_mm
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy

from ..reference_heads.poses import head_to_scanner, move_points, posed_volume, random_pose
from .building import Candidate, Skipped
from .file_pairs import FilePair, find_pairs, points_in, read_point_file


def scout_candidates(root: Path) -> Iterator[Candidate | Skipped]:
    """Scouts with their points: one sub-folder per study, or files with matching names; see ``file_pairs.find_pairs``.

    Sub-folders of a sub-folder (``SUBJECT/VISIT``) are visits of one patient.
    """
    for found in find_pairs(root):
        if isinstance(found, Skipped):
            yield found
        else:
            patient = found.folder.parts[0] if len(found.folder.parts) > 1 else None
            yield Candidate(str(found.points), partial(_scout_study, found), patient)


def volume_candidates(root: Path, geometry: ScoutGeometry, poses: int, seed: int) -> Iterator[Candidate | Skipped]:
    """3D volumes with their points, each cut into ``poses`` three-plane scouts of ``geometry`` in random poses.

    The volume is rotated about the centre of the head (or other body part). The same seed gives the same scouts.
    """
    number = 0
    for found in find_pairs(root):
        if isinstance(found, Skipped):
            yield found
        else:
            read = partial(_posed_studies, found, geometry, poses, (seed, number))
            yield Candidate(str(found.points), read, patient=str(found.points))
            number += 1


def _scout_study(pair: FilePair) -> list[LabelledStudy]:
    landmarks = read_point_file(pair.points)
    stacks = tuple(read_scouts(list(pair.images)))
    return [LabelledStudy("", stacks, landmarks, {"kind": "files"})]


def _posed_studies(pair: FilePair, geometry: ScoutGeometry, poses: int, seed: tuple[int, int]) -> list[LabelledStudy]:
    points = points_in(read_point_file(pair.points))
    volume = read_volume(_only_image(pair))
    center_mm = scout_center_mm(volume)
    studies = []
    for number in range(poses):
        pose = random_pose(np.random.default_rng((*seed, number)))
        transform = head_to_scanner(pose, center_mm, np.eye(3), (0.0, 0.0, 0.0))
        stacks = tuple(cut_three_planes(posed_volume(volume, transform), geometry, center_mm=np.zeros(3)))
        landmarks = tuple(Landmark(name).corrected(move_points(transform, point)) for name, point in points.items())
        studies.append(LabelledStudy("", stacks, landmarks, {"kind": "volume", "seed": [*seed, number]}))
    return studies


def _only_image(pair: FilePair) -> Path:
    """The one image file of a pair; InputError where there is none, or more than one."""
    (first, *others) = pair.images
    images = pair.images
    if first.is_dir() and not others:
        images = tuple(path for path in sorted(first.iterdir()) if path.name.lower().endswith(IMAGE_SUFFIXES))
    if len(images) != 1:
        raise InputError(
            f"{len(images)} images lie beside it, not one",
            source=str(pair.points),
            remedy="Give the volume (NIfTI, NRRD, MHA) the name of its point file.",
        )
    return images[0]
