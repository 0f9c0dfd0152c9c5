"""The three public X-ray benchmarks of landmark detection, in the layout that published comparisons use.

The images cannot be redistributed; users who have them can reproduce published numbers. Layouts, splits and units are
those of MIRACLE-Center/YOLO_Universal_Anatomical_Landmark_Detection (Zhu et al., "You Only Learn Once", MICCAI 2021;
head, hand, chest) and of christianpayer/MedicalDataAugmentationTool-HeatmapRegression (Payer et al., Medical Image
Analysis 54, 2019; head, hand). Points are (row, column) pixels of the full image, as stored, without rounding.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError

from .image_numbers import ImageNumbers, number_of

#: Wang et al., "A benchmark for comparison of dental radiography analysis algorithms", Medical Image Analysis 31, 2016:
#: 400 images of 1935 x 2400 pixels of 0.1 mm; the order of the names is that of the points in the files.
CEPHALOMETRIC_NAMES = (
    "SELLA",
    "NASION",
    "ORBITALE",
    "PORION",
    "SUBSPINALE",
    "SUPRAMENTALE",
    "POGONION",
    "MENTON",
    "GNATHION",
    "GONION",
    "LOWER_INCISAL_INCISION",
    "UPPER_INCISAL_INCISION",
    "UPPER_LIP",
    "LOWER_LIP",
    "SUBNASALE",
    "SOFT_TISSUE_POGONION",
    "POSTERIOR_NASAL_SPINE",
    "ANTERIOR_NASAL_SPINE",
    "ARTICULARE",
)
CEPHALOMETRIC_PIXEL_MM = 0.1

#: First and last number of the images of each split of the ISBI 2015 challenge.
CEPHALOMETRIC_SPLITS = {"train": (1, 150), "test1": (151, 300), "test2": (301, 400)}

#: "senior" is what the challenge and Payer et al. measure against; Zhu et al. use the "mean" of both.
ANNOTATORS = {"senior": ("400_senior",), "junior": ("400_junior",), "mean": ("400_senior", "400_junior")}

#: Payer et al.: 895 radiographs of the Digital Hand Atlas, 37 points; the wrist, between the first and the fifth point,
#: is taken to be 50 mm wide, since the images do not state their spacing.
HAND_POINTS, WRIST_POINTS, WRIST_WIDTH_MM = 37, (0, 4), 50.0

#: Zhu et al.: normal chest radiographs of the Shenzhen set (CHNCXR_*_0), 6 points, without these nine; no spacing.
CHEST_POINTS = 6
CHEST_PREFIX, CHEST_SUFFIX = "CHNCXR_", "_0"
CHEST_EXCLUDED = frozenset(f"CHNCXR_{number:04d}_0" for number in (59, 178, 228, 267, 276, 285, 295, 303, 310))

#: Zhu et al.: how many images, sorted by name, are for training and validation; the rest is for testing.
HAND_SPLIT, CHEST_SPLIT = (550, 59), (195, 34)
SPLITS = ("train", "validation", "test")

#: Suffixes of images.
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """One radiograph with its points.

    Attributes:
        name: of the file, without its suffix.
        pixels: (rows, columns) float32, as stored; of a colour image its first channel.
        spacing_mm: (between rows, between columns); None where it is unknown, and errors are in pixels.
        points: (k, 2) float64, (row, column) pixels; NaN where nobody placed the landmark.
        names: the k landmarks.
        readings: (r, k, 2) the points of each reader, where there are several.
    """

    name: str
    pixels: np.ndarray
    spacing_mm: tuple[float, float] | None
    points: np.ndarray
    names: tuple[str, ...]
    readings: np.ndarray | None = None


def read_cephalometric(
    folder: Path | str,
    split: str | None = None,
    annotator: str = "senior",
    *,
    numbers: ImageNumbers | None = None,
    suffix: str = "",
) -> Iterator[LabelledImage]:
    """The ISBI 2015 head radiographs: 19 points, 0.1 mm pixels.

    Args:
        folder: holds ``RawImage/{TrainingData,Test1Data,Test2Data}/NNN.bmp`` (or ``raw/NNN.bmp``) and
            ``AnnotationsByMD/400_{senior,junior}/NNN.txt`` (or these folders directly). A text file starts with 19
            lines ``x,y``; the diagnoses that follow are not read.
        split: "train", "test1" or "test2"; all of them when None.
        annotator: "senior", "junior" or "mean".
        numbers: these images instead of those of a split, whatever their number or the file's name around it.
        suffix: of the images, ``.bmp`` when empty.

    Raises:
        InputError: a file is missing or damaged.
        UsageError: unknown split or annotator.
    """
    root = _folder(folder)
    _require_one_of(annotator, ANNOTATORS, "annotator")
    if split is not None:
        _require_one_of(split, CEPHALOMETRIC_SPLITS, "split")
    first, last = CEPHALOMETRIC_SPLITS[split] if split else (1, 400)
    images = _images(root, ("RawImage", "raw"), suffix or ".bmp", "RawImage/TrainingData/001.bmp")
    notes = root / "AnnotationsByMD" if (root / "AnnotationsByMD").is_dir() else root
    for name, path in images.items():
        if name in numbers if numbers else name.isdigit() and first <= int(name) <= last:
            files = {reader: notes / reader / f"{name}.txt" for reader in ANNOTATORS["mean"]}
            points = np.mean([_cephalometric_points(files[reader]) for reader in ANNOTATORS[annotator]], axis=0)
            both = all(file.exists() for file in files.values())
            readings = np.array([_cephalometric_points(file) for file in files.values()]) if both else None
            spacing = (CEPHALOMETRIC_PIXEL_MM, CEPHALOMETRIC_PIXEL_MM)
            yield LabelledImage(name, read_pixels(path), spacing, points, CEPHALOMETRIC_NAMES, readings)


def read_hands(
    folder: Path | str, split: str | None = None, *, numbers: ImageNumbers | None = None, suffix: str = ""
) -> Iterator[LabelledImage]:
    """The hand radiographs: 37 points, ``HAND_01`` ... in the order of the table, spacing by the wrist's width.

    Args:
        folder: holds ``jpg/NNNN.jpg`` and ``all.csv`` (or ``setup/all.csv``, ``labels/all.csv``) without a header:
            number of the image, then x and y of each point. Images without a row are left out.
        split: "train", "validation" or "test" of Zhu et al.; all when None. Payer et al. report three-fold
            cross-validation over the whole set.
        numbers: these images instead of those of a split.
        suffix: of the images, ``.jpg`` when empty.

    Raises:
        InputError: a file is missing or damaged.
        UsageError: unknown split.
    """
    root = _folder(folder)
    table = next(
        (root / name for name in ("all.csv", "setup/all.csv", "labels/all.csv") if (root / name).exists()), None
    )
    if table is None:
        raise _absent(root, "all.csv")
    rows = _hand_rows(table)
    images = _images(root, ("jpg",), suffix or ".jpg", "jpg/3128.jpg")
    labelled = {name: path for name, path in images.items() if number_of(name) in rows}
    names = _numbered("HAND", HAND_POINTS)
    for name in _part(sorted(labelled), split, HAND_SPLIT, numbers):
        points = rows[number_of(name)]
        wrist = float(np.linalg.norm(points[WRIST_POINTS[0]] - points[WRIST_POINTS[1]]))
        if wrist == 0:
            raise InputError(f"the wrist of {name} has no width", source=str(table), remedy="Copy the table again.")
        pixel_mm = WRIST_WIDTH_MM / wrist
        yield LabelledImage(name, read_pixels(labelled[name]), (pixel_mm, pixel_mm), points, names)


def read_chests(
    folder: Path | str, split: str | None = None, *, numbers: ImageNumbers | None = None, suffix: str = ""
) -> Iterator[LabelledImage]:
    """The chest radiographs: 6 points, ``CHEST_01`` ... in the order of the files, no spacing.

    Args:
        folder: holds ``pngs/CHNCXR_NNNN_0.png`` and ``labels/CHNCXR_NNNN_0.txt``: the number of points, then x and y
            of each as fractions of the image's width and height.
        split: "train", "validation" or "test" of Zhu et al.; all when None.
        numbers: these images instead of those of a split, whatever their names around the number.
        suffix: of the images, ``.png`` when empty.

    Raises:
        InputError: a file is missing or damaged.
        UsageError: unknown split.
    """
    root = _folder(folder)
    images = _images(root, ("pngs",), suffix or ".png", "pngs/CHNCXR_0001_0.png")
    used = [
        name
        for name in sorted(images)
        if numbers or (name.startswith(CHEST_PREFIX) and name.endswith(CHEST_SUFFIX) and name not in CHEST_EXCLUDED)
    ]
    names = _numbered("CHEST", CHEST_POINTS)
    for name in _part(used, split, CHEST_SPLIT, numbers):
        pixels = read_pixels(images[name])
        fractions = _chest_fractions(root / "labels" / f"{name}.txt")
        yield LabelledImage(name, pixels, None, fractions * pixels.shape, names)


def _part(
    names: list[str], split: str | None, counts: tuple[int, int], numbers: ImageNumbers | None = None
) -> list[str]:
    """The names of a split: the first ones for training, the next for validation, the rest for testing."""
    if numbers:
        return [name for name in names if name in numbers]
    if split is None:
        return names
    _require_one_of(split, SPLITS, "split")
    train, validation = counts[0], sum(counts)
    return {"train": names[:train], "validation": names[train:validation], "test": names[validation:]}[split]


def _cephalometric_points(path: Path) -> np.ndarray:
    lines = _lines(path)[: len(CEPHALOMETRIC_NAMES)]
    return _row_column(path, [line.split(",") for line in lines], len(CEPHALOMETRIC_NAMES))


def _hand_rows(table: Path) -> dict[int | None, np.ndarray]:
    rows: dict[int | None, np.ndarray] = {}
    for row in csv.reader(_lines(table)):
        if not row[0].strip().isdigit():
            raise InputError(f"{row[0]!r} is not an image number", source=str(table), remedy="Copy the table again.")
        rows[int(row[0])] = _row_column(table, list(zip(row[1::2], row[2::2], strict=False)), HAND_POINTS)
    return rows


def _chest_fractions(path: Path) -> np.ndarray:
    lines = [line.split() for line in _lines(path)]
    return _row_column(path, lines[1:], CHEST_POINTS)


def _row_column(path: Path, pairs: Iterable[Iterable[str]], count: int) -> np.ndarray:
    """(count, 2) of (row, column) from texts of x and y."""
    try:
        values = np.array([[float(text) for text in pair] for pair in pairs])
    except ValueError:
        values = np.empty(0)
    if values.shape != (count, 2) or not np.isfinite(values).all():
        raise InputError(f"does not hold {count} points of x and y", source=str(path), remedy="Copy the file again.")
    return values[:, ::-1]


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except OSError as error:
        raise InputError("cannot be read", source=str(path), remedy="Unpack the annotations there.") from error
    except UnicodeDecodeError as error:
        raise InputError("is not a text file", source=str(path), remedy="Copy the file again.") from error


def read_pixels(path: Path) -> np.ndarray:
    """(rows, columns) float32 of an image file, of a colour image its first channel; InputError if it is none."""
    import SimpleITK

    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError("cannot be read as an image", source=str(path), remedy="Copy the file again.") from error
    array = SimpleITK.GetArrayFromImage(image).astype(np.float32)
    return array[..., 0] if image.GetNumberOfComponentsPerPixel() > 1 else array


def _folder(folder: Path | str) -> Path:
    root = Path(folder)
    if not root.is_dir():
        raise InputError("is not a folder", source=str(root), remedy="Give the folder of the data set.")
    return root


def images_in(root: Path, suffix: str = "") -> Mapping[str, Path]:
    """Name -> path of the images in a folder and its sub-folders, by name; of any of SUFFIXES when none is given."""
    wanted = (suffix.lower(),) if suffix else SUFFIXES
    files = sorted(root.rglob("*"), key=lambda path: path.stem)
    return {path.stem: path for path in files if path.suffix.lower() in wanted}


def _images(root: Path, folders: tuple[str, ...], suffix: str, example: str) -> Mapping[str, Path]:
    """Name -> path of the images in the first existing one of ``folders`` and its sub-folders, by name."""
    found = (root / name for name in folders if (root / name).is_dir())
    images = images_in(next(found, root), suffix)
    if not images:
        raise _absent(root, example.replace(Path(example).suffix, suffix.lower()))
    return images


def _absent(root: Path, example: str) -> InputError:
    return InputError(f"holds no {example}", source=str(root), remedy="Unpack the data set into the published layout.")


def _numbered(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}_{number:02d}" for number in range(1, count + 1))


def _require_one_of(value: str, known: Iterable[str], what: str) -> None:
    if value not in known:
        raise UsageError(f"unknown {what} {value!r}", remedy=f"Choose one of: {', '.join(known)}.")
