"""Studies of one slice per plane, made from the sample: other slices, another pose of the head, other noise in each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "Resources" / "SampleData" / "ColinScouts" / "dicom"

#: The first slice's number of each plane, and how many slices a plane has. Those at its ends are left out.
_FIRST, _SLICES = (1, 6, 11), 5

#: Largest rotation about each axis, largest shift along it, and standard deviation of noise in stored values.
_TURN_DEG, _SHIFT_MM, _NOISE = 4.0, 8.0, (2.0, 12.0)


def make_study(folder: Path, number: int) -> Path:
    """Write study ``number`` into a folder of its own in ``folder``; the same number gives the same study.

    The pose is in the headers: the slices stay as they cut the head, and head and slices are moved in the scanner.
    """
    from pydicom import dcmread
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(number)
    turn = Rotation.from_euler("xyz", rng.uniform(-_TURN_DEG, _TURN_DEG, 3), degrees=True).as_matrix()
    shift_mm, noise = rng.uniform(-_SHIFT_MM, _SHIFT_MM, 3), rng.uniform(*_NOISE)
    study = folder / f"{number:05d}"
    study.mkdir(parents=True)
    for first in _FIRST:
        name = f"{first + rng.integers(1, _SLICES - 1):04d}.dcm"
        image = dcmread(SAMPLE / name)
        axes = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
        image.ImageOrientationPatient = [f"{value:.10f}" for value in (axes @ turn.T).ravel()]
        moved = turn @ np.array(image.ImagePositionPatient, float) + shift_mm
        image.ImagePositionPatient = [f"{value:.6f}" for value in moved]
        image.PixelData = _noisy(image.pixel_array, noise, rng).tobytes()
        _rename(image, number)
        image.save_as(study / name)
    return study


def _noisy(pixels: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Rician: the magnitude of signal and noise in two channels."""
    first, second = rng.normal(0.0, noise, (2, *pixels.shape))
    return np.rint(np.hypot(pixels + first, second)).astype(pixels.dtype)


def _rename(image, number: int) -> None:
    """UIDs of its own: studies that share them would be one patient's."""
    from pydicom.uid import generate_uid

    for tag in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        setattr(image, tag, generate_uid(entropy_srcs=[str(getattr(image, tag)), str(number)]))
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
