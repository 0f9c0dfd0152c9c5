"""The data of an X-ray run: which sets, which of their images, and ``data.json``, which keeps this for a resume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.errors import InputError, UsageError
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json

from ..datasets.image_numbers import NAME_SPLITS, read_numbers
from .xray_published import MATRIX, SETS, TRAINING, VALIDATION, Benchmark, read_split
from .xray_source import XrayImages, images_on_grid

#: Splits that a user names, and what they are called in ``data.json`` and as flags.
TEST, WATCH = "test", "watch"
OWN_SPLITS = (TRAINING, WATCH, TEST)

_START_AGAIN = "Start again in another output folder."


@dataclass(frozen=True)
class XrayData:
    """One set of a run.

    Attributes:
        benchmark: one of SETS.
        folder: of the images, in the published layout.
        matrix: pixels per side of the grid.
        annotator: of the points, if the set has several, else "".
        splits: numbers of the images to train, to watch and to test, as text; empty: the published splits.
        suffix: of the images; "": that of the published set.
    """

    benchmark: str
    folder: str
    matrix: int = MATRIX
    annotator: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""

    @property
    def definition(self) -> Benchmark:
        return SETS[self.benchmark]

    @property
    def tests(self) -> tuple[str, ...]:
        """The splits that are measured."""
        return (TEST,) if self.splits else self.definition.tests


@dataclass(frozen=True)
class XrayRequest:
    """What a user asks of one set; what is None or empty is as published, or as before on resume."""

    benchmark: str
    folder: Path
    annotator: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""


def requested_data(
    requests: Sequence[XrayRequest], matrix: int | None, begun: Sequence[XrayData] | None, run: Path
) -> list[XrayData]:
    """The data of a run; ``begun`` are those of the run that is resumed in the folder ``run``.

    Raises:
        UsageError: they do not suit each other, or the run that is resumed.
    """
    before = {data.benchmark: data for data in begun or ()}
    chosen = [_requested(request, matrix, before.get(request.benchmark)) for request in requests]
    names = [data.benchmark for data in chosen]
    if len(set(names)) < len(names):
        raise UsageError(f"{', '.join(names)} name a set twice", remedy="Name each set once.")
    if begun is not None and [replace(data, folder="") for data in begun] != [replace(d, folder="") for d in chosen]:
        words = "; ".join(_described(data) for data in begun)
        remedy = "Name the same data, or another output folder."
        raise UsageError(f"was begun on other data ({words})", source=str(run), remedy=remedy)
    return chosen


def _described(data: XrayData) -> str:
    splits = ", ".join(f"{name} {numbers}" for name, numbers in data.splits.items()) or "published splits"
    return f"{data.benchmark}, matrix {data.matrix}, {data.annotator or 'one annotator'}, {splits}"


def _requested(request: XrayRequest, matrix: int | None, begun: XrayData | None) -> XrayData:
    several = request.benchmark in ("cephalometric", "labelme")
    if request.annotator and not several:
        raise UsageError(f"the {request.benchmark} images have one annotator", remedy="Do not name an annotator.")
    usual = "senior" if request.benchmark == "cephalometric" else ""
    begun = begun or XrayData(request.benchmark, "", annotator=usual)
    data = XrayData(
        request.benchmark,
        str(request.folder),
        begun.matrix if matrix is None else matrix,
        request.annotator or begun.annotator,
        dict(request.splits) or dict(begun.splits),
        request.suffix or begun.suffix,
    )
    _require_apart(data)
    return data


def _require_apart(data: XrayData) -> None:
    """UsageError where some splits are not named, or share an image."""
    if not data.splits and data.definition.learnt:
        return
    if set(data.splits) != set(OWN_SPLITS):
        missing = " and ".join(name for name in OWN_SPLITS if name not in data.splits)
        raise UsageError(f"no images to {missing} are named", source=data.benchmark, remedy=NAME_SPLITS)
    numbers = {name: read_numbers(text) for name, text in data.splits.items()}
    for name, other in ((TRAINING, WATCH), (TRAINING, TEST), (WATCH, TEST)):
        shared = numbers[name].shared_with(numbers[other])
        if shared is not None:
            raise UsageError(
                f"image {shared} is to {name} and to {other}", source=data.benchmark, remedy="Let it be in one of them."
            )


def read_images(data: XrayData, part: str) -> XrayImages:
    """The images of a part (TRAINING, VALIDATION or one of ``data.tests``) on the grid.

    Raises:
        InputError: images are missing or damaged.
    """
    own = WATCH if part == VALIDATION else part
    numbers = read_numbers(data.splits[own]) if data.splits else None
    try:
        radiographs = read_split(data.definition, Path(data.folder), part, data.annotator, numbers, data.suffix)
        return images_on_grid(radiographs, data.matrix, data.definition.plane)
    except InputError as error:
        if error.source:
            raise
        remedy = (
            f"The numbers named are {data.splits[own]}; the images' own are in their names."
            if numbers
            else f"Unpack the whole set. A part of it, or another one? {NAME_SPLITS}"
        )
        raise InputError(f"{error.what} of split {part}", source=data.folder, remedy=remedy) from error


def data_text(data: Sequence[XrayData]) -> str:
    """The content of ``data.json``."""
    if len(data) == 1:
        return json_text(asdict(data[0]))
    return json_text({"together": [asdict(each) for each in data]})


def read_data(path: Path) -> list[XrayData]:
    """The data of the run that wrote ``data.json``; UsageError where it is that of another kind of run."""
    values: Any = read_json(path, UsageError, _START_AGAIN)
    try:
        data = [XrayData(**each) for each in values.get("together", [values])]
    except (TypeError, AttributeError) as error:
        raise UsageError("does not describe an X-ray run", source=str(path), remedy=_START_AGAIN) from error
    if any(each.benchmark not in SETS for each in data):
        raise UsageError("names an unknown set", source=str(path), remedy=_START_AGAIN)
    return data
