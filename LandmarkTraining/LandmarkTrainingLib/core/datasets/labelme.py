"""Radiographs labelled with labelme (https://github.com/wkentaro/labelme): a JSON file with points for each image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.files.json_files import read_json

from .image_numbers import ImageNumbers
from .xray_benchmarks import LabelledImage, images_in, read_pixels

#: labelme counts from the corner of the first pixel, the points here from its middle.
_HALF = 0.5

_REMEDY = "Save the labels again in labelme."


def read_labelme(
    folder: Path | str, numbers: ImageNumbers, annotator: str = "", suffix: str = ""
) -> Iterator[LabelledImage]:
    """The images with these numbers, their points, and both readings where two readers placed them.

    Args:
        folder: holds ``NAME.json`` and the image of the same name, in any sub-folder. Where sub-folders hold JSON files
            of the same images, each is a reader, named by the sub-folder.
        annotator: one of the readers, or "mean" (the default of several).
        suffix: of the images; any of ``SUFFIXES`` when empty.

    The landmarks are the labels of all files, sorted; a landmark without a point in an image is NaN there. The unit of
    length is the image's pixel. Shapes other than points are not read.

    Raises:
        InputError: a file is missing or damaged, a label stands twice in an image, or a reader lacks an image.
    """
    root = Path(folder)
    readers = _readers(root)
    if annotator and annotator != "mean" and annotator not in readers:
        known = ", ".join(filter(None, readers))
        raise InputError(
            f"has no reader {annotator}", source=str(root), remedy=f"Known: {known or 'one, without a name'}."
        )
    labels = {path: _labels(path) for files in readers.values() for path in files.values()}
    names = tuple(sorted({name for points in labels.values() for name in points}))
    images = images_in(root, suffix)
    for name in sorted({name for files in readers.values() for name in files}):
        if name not in numbers:
            continue
        files = [_file(root, reader, files, name) for reader, files in readers.items()]
        if name not in images:
            raise InputError(f"holds no image {name}", source=str(root), remedy="Put the image beside its JSON file.")
        readings = np.array([_placed(labels[path], names) for path in files])
        chosen = list(readers).index(annotator) if annotator in readers else slice(None)
        points = readings[chosen] if annotator in readers else readings.mean(axis=0)
        both = readings if len(readings) > 1 else None
        yield LabelledImage(name, read_pixels(images[name]), (1.0, 1.0), points, names, both)


def _readers(root: Path) -> dict[str, dict[str, Path]]:
    """Reader -> name of the image -> file. One reader, "", where no image has two files."""
    files = sorted(root.rglob("*.json"), key=lambda path: path.stem)
    if not files:
        raise InputError("holds no JSON file", source=str(root), remedy="Save the labels of labelme there.")
    by_folder: dict[str, dict[str, Path]] = {}
    for path in files:
        by_folder.setdefault(path.parent.relative_to(root).as_posix(), {})[path.stem] = path
    if len(files) == len({path.stem for path in files}):
        return {"": {path.stem: path for path in files}}
    return dict(sorted(by_folder.items()))


def _file(root: Path, reader: str, files: Mapping[str, Path], name: str) -> Path:
    if name not in files:
        raise InputError(f"holds no {name}.json", source=str(root / reader), remedy="Give the files of every reader.")
    return files[name]


def _labels(path: Path) -> dict[str, np.ndarray]:
    """Label -> (row, column) of its point."""
    values = read_json(path, InputError, _REMEDY)
    shapes = values.get("shapes") if isinstance(values, Mapping) else None
    if not isinstance(shapes, list):
        raise InputError("is not a file of labelme", source=str(path), remedy=_REMEDY)
    points: dict[str, np.ndarray] = {}
    for shape in shapes:
        if not isinstance(shape, Mapping) or shape.get("shape_type", "point") != "point":
            continue
        name = str(shape.get("label", "")).strip()
        if name in points:
            raise InputError(f"holds two points {name}", source=str(path), remedy="Remove one of them.")
        points[name] = _point(path, name, shape.get("points"))
    return points


def _point(path: Path, name: str, value: Any) -> np.ndarray:
    try:
        ((x, y),) = value
        point = np.array([float(y), float(x)]) - _HALF
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name or 'a label'} is not one point of x and y", source=str(path), remedy=_REMEDY
        ) from error
    if not name or not np.isfinite(point).all():
        raise InputError("a point has no name or no place", source=str(path), remedy=_REMEDY)
    return point


def _placed(points: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    return np.array([points.get(name, np.full(2, np.nan)) for name in names]).reshape(-1, 2)
