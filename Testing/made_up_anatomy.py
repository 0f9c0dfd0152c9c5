"""A made-up anatomy, a paw: volumes of several animals with points as Slicer saves them, a drawn box, label maps."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from AutoVolumeCalibrationLib.core.geometry.coordinates import swap_ras_lps
from AutoVolumeCalibrationLib.core.geometry.oriented_box import OrientedBox
from AutoVolumeCalibrationLib.core.storage.markups import write_scan_box
from command_line import write_points

#: Landmark -> place, right, anterior, superior mm: a claw, a heel, two sides, a back and a wrist.
PLACES = {
    "HEEL": (0.0, 0.0, 0.0),
    "CLAW": (0.0, 62.0, 0.0),
    "SIDE_R": (30.0, 26.0, -4.0),
    "SIDE_L": (-30.0, 26.0, -4.0),
    "BACK": (0.0, 30.0, 24.0),
    "WRIST": (0.0, -10.0, 48.0),
}
TABLE = [
    ("name", "title", "definition", "mirror"),
    ("HEEL", "Heel", "Centre of the ball at the heel.", ""),
    ("CLAW", "Claw", "Centre of the ball at the front.", ""),
    ("SIDE_R", "Right side", "Centre of the ball on the right.", "SIDE_L"),
    ("SIDE_L", "Left side", "Centre of the ball on the left.", "SIDE_R"),
    ("BACK", "Back", "Centre of the ball on top.", ""),
    ("WRIST", "Wrist", "Centre of the ball at the wrist.", ""),
]
TISSUES = [
    ("tissue", "labels", "T1", "T2"),
    ("body", "1", "90", "60"),
    *((f"ball {number}", str(number + 2), str(120 + 24 * number), str(235 - 24 * number)) for number in range(6)),
]
BODY, FIRST_BALL, BALL_MM = 1, 2, 7.0
VOXEL_MM, VOXELS = 2.5, 72


def write_table(path: Path, rows: list[tuple[str, ...]]) -> Path:
    """A CSV table."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def write_cases(folder: Path, numbers: range) -> None:
    """``paw_NN.nii.gz`` and ``paw_NN.mrk.json`` of one animal each: another shape, pose and brightness."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        labels, affine, points = _paw(number, turn_deg=8.0)
        rng = np.random.default_rng(1000 + number)
        signal = np.array([0.0, 90, 240, 30, 200, 160, 125, 50])[labels] + rng.normal(0, 4, labels.shape)
        _write_image(folder / f"paw_{number:02d}.nii.gz", signal.astype(np.float32), affine)
        write_points(folder / f"paw_{number:02d}.mrk.json", points)


def write_label_maps(folder: Path, numbers: range) -> None:
    """``paw_NN.nii.gz`` of tissue numbers and ``paw_NN.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        labels, affine, points = _paw(number, turn_deg=0.0)
        _write_image(folder / f"paw_{number:02d}.nii.gz", labels.astype(np.int16), affine)
        rows = [("label", "x", "y", "z"), *((name, *(f"{v:.3f}" for v in at)) for name, at in points.items())]
        write_table(folder / f"paw_{number:02d}.csv", rows)


def write_box(path: Path, number: int) -> Path:
    """A box as somebody draws it round the paw of a case: its axes are those of the paw, in Slicer's own order."""
    turn, _, _ = _build(number, 8.0)
    center = turn @ np.array([0.0, 22.0, 16.0])
    axes = turn.T[[1, 2, 0]]
    write_scan_box(path, OrientedBox("paw", center, axes, np.array([104.0, 88.0, 94.0])))
    return path


def _paw(number: int, turn_deg: float) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Label map, its affine to RAS mm, and the landmarks."""
    turn, scale, shifts = _build(number, turn_deg)
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    affine[:3, 3] = -VOXEL_MM * (VOXELS - 1) / 2 + np.array([0, 20, 15])
    index = np.stack(np.meshgrid(*[np.arange(VOXELS)] * 3, indexing="ij"), axis=-1)
    points = (index * VOXEL_MM + affine[:3, 3]) @ turn
    inside = np.linalg.norm((points - scale * np.array([0, 24, 12])) / (scale * np.array([44, 58, 48])), axis=-1) < 1
    labels = np.where(inside, BODY, 0)
    places = {name: scale * np.array(at) + shift for (name, at), shift in zip(PLACES.items(), shifts, strict=True)}
    for ball, at in enumerate(places.values()):
        labels[np.linalg.norm(points - at, axis=-1) < BALL_MM] = FIRST_BALL + ball
    return labels, affine, {name: turn @ at for name, at in places.items()}


def _build(number: int, turn_deg: float) -> tuple[np.ndarray, float, np.ndarray]:
    """(3, 3) rotation, size, and (6, 3) shifts of the landmarks of an animal, mm."""
    rng = np.random.default_rng(number)
    turn = Rotation.from_euler("XYZ", rng.uniform(-turn_deg, turn_deg, 3), degrees=True).as_matrix()
    return turn, float(rng.uniform(0.94, 1.06)), rng.normal(0, 1.0, (len(PLACES), 3))


def _write_image(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    image.SetSpacing(np.linalg.norm(affine[:3, :3], axis=0).tolist())
    image.SetDirection(swap_ras_lps((affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).T).T.ravel().tolist())
    image.SetOrigin(swap_ras_lps(affine[:3, 3]).tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=True)
