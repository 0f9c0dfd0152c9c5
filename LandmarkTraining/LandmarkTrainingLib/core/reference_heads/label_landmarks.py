"""Landmarks that are measured from a label map: the ends of the hippocampi."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.geometry.coordinates import swap_ras_lps, unit
from AutoVolumeCalibrationLib.core.scouts.volume import Volume

#: FreeSurfer numbers of the hippocampus by side.
HIPPOCAMPUS_LABELS = {"L": 17, "R": 53}

#: An end is where this much tissue (mm3) lies further out along the axis: single voxels do not move it.
EXTREME_VOLUME_MM3 = 30.0

#: Thickness of the end slab whose centroid gives the coordinates across the axis.
SLAB_MM = 3.0

#: A hippocampus is 35-50 mm long; a shorter piece is an error of the label map.
SHORTEST_MM = 28.0


def read_label_map(path: Path | str) -> Volume:
    """The label map of a file that SimpleITK reads: integer ``array`` (i, j, k), ``affine`` to RAS mm.

    Raises:
        InputError: the file cannot be read or is not three-dimensional.
    """
    import SimpleITK

    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError("cannot be read as an image", source=str(path), remedy="Give a 3D label map.") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError("is not a 3D label map", source=str(path), remedy="Give one label number per voxel.")
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = swap_ras_lps((direction * image.GetSpacing()).T).T
    affine[:3, 3] = swap_ras_lps(np.array(image.GetOrigin()))
    array = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)
    return Volume(np.rint(array).astype(np.int32), affine, Path(path).name)


def hippocampus_ends(labels: Volume, anterior: Sequence[float] | np.ndarray = (0.0, 1.0, 0.0)) -> dict[str, np.ndarray]:
    """Both ends of both hippocampi, from their FreeSurfer labels (17 left, 53 right).

    Of each side the largest connected piece counts. Along its principal axis an end is the position
    beyond which ``EXTREME_VOLUME_MM3`` of it lie; across the axis it is the centroid of the ``SLAB_MM`` next to it.
    A side whose piece is absent or shorter than ``SHORTEST_MM`` is incomplete (some
    label maps have such errors) and is left out.

    Args:
        anterior: (3,) RAS direction that distinguishes the head (anterior) from the tail; give the
            AC-PC frame's if the head is rotated far from the world axes.

    Returns:
        HIPPOCAMPUS_HEAD_L, HIPPOCAMPUS_TAIL_L, HIPPOCAMPUS_HEAD_R, HIPPOCAMPUS_TAIL_R -> (3,) RAS mm.
    """
    rank = max(1, round(EXTREME_VOLUME_MM3 / float(abs(np.linalg.det(labels.affine[:3, :3])))))
    ends = {}
    for side, number in HIPPOCAMPUS_LABELS.items():
        points = _largest_piece_mm(labels, number)
        if len(points) <= 2 * rank:
            continue
        head, tail = _axis_ends(points, rank, np.asarray(anterior, dtype=float))
        if np.linalg.norm(head - tail) >= SHORTEST_MM:
            ends[f"HIPPOCAMPUS_HEAD_{side}"], ends[f"HIPPOCAMPUS_TAIL_{side}"] = head, tail
    return ends


def _largest_piece_mm(labels: Volume, number: int) -> np.ndarray:
    """RAS points (n, 3) of the voxels of the label's largest connected piece; n is 0 where there is none."""
    from scipy.ndimage import find_objects, label

    mask = labels.array == number
    region = find_objects(mask.astype(np.uint8), 1)[0]
    if region is None:
        return np.empty((0, 3))
    pieces, _ = label(mask[region], structure=np.ones((3, 3, 3)))
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    index = np.argwhere(pieces == largest) + [axis.start for axis in region]
    return index @ labels.affine[:3, :3].T + labels.affine[:3, 3]


def _axis_ends(points: np.ndarray, rank: int, anterior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(anterior, posterior) end (3,) of a cloud of points (n, 3) along its principal axis."""
    center = points.mean(axis=0)
    axis = unit(np.linalg.eigh(np.cov(points.T))[1][:, -1])
    axis = axis if axis @ anterior > 0 else -axis
    return _end_along(points, center, axis, rank), _end_along(points, center, -axis, rank)


def _end_along(points: np.ndarray, center: np.ndarray, axis: np.ndarray, rank: int) -> np.ndarray:
    along = (points - center) @ axis
    extreme = np.sort(along)[-rank]
    slab = points[along >= extreme - SLAB_MM].mean(axis=0)
    return slab + (extreme - (slab - center) @ axis) * axis
