"""Small X-ray benchmarks on disk, in the published layouts; every landmark is a spot of its own brightness."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from LandmarkTrainingLib.core.datasets import xray_benchmarks

#: Rows and columns of the images.
SHAPE = (72, 60)
#: Images that are learnt from, watched, and in each test split.
LEARNT, WATCHED, TESTED = 6, 2, 2

#: First number of the images of each part of the cephalometric set; the watched are the last of the training split.
_HEADS = {
    "TrainingData": (1, LEARNT),
    "Watched": (131, WATCHED),
    "Test1Data": (151, TESTED),
    "Test2Data": (301, TESTED),
}


def shorten_splits(monkeypatch) -> None:
    """The hand and chest splits with as few images as :func:`write_set` writes."""
    for name in ("HAND_SPLIT", "CHEST_SPLIT"):
        monkeypatch.setattr(xray_benchmarks, name, (LEARNT, WATCHED))


def write_set(folder: Path, benchmark: str) -> Path:
    """Write the benchmark of that name; the test images are copies of the first ones that are learnt from."""
    {"cephalometric": _write_heads, "hand": _write_hands, "chest": _write_chests}[benchmark](folder)
    return folder


def spots(points: np.ndarray, shape: tuple[int, int] = SHAPE, radius: float = 1.5) -> np.ndarray:
    """(rows, columns) uint8 with a spot at each of the points (k, 2), (row, column) pixels; later ones are brighter."""
    row, column = np.indices(shape)
    image = np.zeros(shape)
    for brightness, point in zip(np.linspace(90, 250, len(points)), points, strict=True):
        distance = np.hypot(row - point[0], column - point[1])
        image = np.maximum(image, brightness * np.exp(-(distance**2) / (2 * radius**2)))
    return image.round().astype(np.uint8)


def _points(count: int, number: int) -> np.ndarray:
    """A grid of points, moved as a whole at random."""
    columns = int(np.ceil(np.sqrt(count)))
    places = np.array([divmod(index, columns) for index in range(count)]) * 42 / columns + 10
    return (places + np.random.default_rng(number).uniform(-4, 8, 2)).round(1)


def _write(path: Path, points: np.ndarray) -> None:
    import SimpleITK

    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(spots(points)), str(path))


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _write_heads(folder: Path) -> None:
    for place, (first, count) in _HEADS.items():
        for index in range(count):
            points = _points(19, index)
            name = f"{first + index:03d}"
            _write(folder / "RawImage" / place / f"{name}.bmp", points)
            for who, shift in (("senior", 0), ("junior", 1)):
                lines = [f"{column + shift:.1f},{row:.1f}" for row, column in points] + ["1"] * 8
                _write_text(folder / "AnnotationsByMD" / f"400_{who}" / f"{name}.txt", "\n".join(lines) + "\n")


def _write_hands(folder: Path) -> None:
    rows = []
    for number, index in _numbered():
        points = _points(37, index)
        _write(folder / "jpg" / f"{number}.jpg", points)
        rows.append(",".join([str(number), *(f"{x:.1f},{y:.1f}" for y, x in points)]))
    _write_text(folder / "all.csv", "\n".join(rows) + "\n")


def _write_chests(folder: Path) -> None:
    for number, index in _numbered():
        points = _points(6, index)
        name = f"CHNCXR_{number}_0"
        _write(folder / "pngs" / f"{name}.png", points)
        lines = [f"{x / SHAPE[1]:.6f} {y / SHAPE[0]:.6f}" for y, x in points]
        _write_text(folder / "labels" / f"{name}.txt", "\n".join(["6", *lines]) + "\n")


def _numbered() -> list[tuple[int, int]]:
    """(number of the file, which picture) in the order of the splits."""
    which = [*range(LEARNT), *range(WATCHED), *range(TESTED)]
    return [(3001 + place, index) for place, index in enumerate(which)]
