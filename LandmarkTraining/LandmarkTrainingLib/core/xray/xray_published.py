"""Splits, measures and settings of published results on the X-ray benchmarks, and of other labelled radiographs.

The splits are those of Zhu et al. ("You Only Learn Once", MICCAI 2021, arXiv:2103.04657), which for the head refine the
challenge's: of its 150 training images the last 20 are for validation. Validation on the test images would select the
weights by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.errors import UsageError

from ..config import TrainingConfig
from ..datasets.image_numbers import NAME_SPLITS, ImageNumbers
from ..datasets.labelme import read_labelme
from ..datasets.xray_benchmarks import LabelledImage, read_cephalometric, read_chests, read_hands
from ..runs.recipes import RECIPES, SCN_WEIGHT, TRAIN, Recipe
from .xray_source import STRETCHED_SIDE

TRAINING, VALIDATION = "train", "validation"

#: Last training image of the head; the challenge's later ones are for validation.
_LAST_LEARNT_HEAD = 130

#: Pixels per side of the grid, as in both published set-ups.
MATRIX = 512

#: Epochs and batch size of Zhu et al.
_ROUNDS, _BATCH = 100, 4


@dataclass(frozen=True)
class Benchmark:
    """One of the public sets.

    Attributes:
        title: for reports.
        plane: input of the network; a lateral head is sagittal.
        unit: of the errors.
        radii: of the success rates, in this unit.
        tests: splits that are measured, in the order of the tables.
        learnt: number of training images of the published split.
    """

    name: str
    title: str
    plane: str
    unit: str
    radii: tuple[float, ...]
    tests: tuple[str, ...]
    learnt: int


BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            "cephalometric",
            "Cephalometric radiographs (ISBI 2015, 19 points)",
            "sagittal",
            "mm",
            (2.0, 2.5, 3.0, 4.0),
            ("test1", "test2"),
            130,
        ),
        Benchmark(
            "hand",
            "Hand radiographs (Digital Hand Atlas, 37 points; wrist of 50 mm)",
            "coronal",
            "mm",
            (2.0, 4.0, 10.0),
            ("test",),
            550,
        ),
        Benchmark(
            "chest",
            f"Chest radiographs (Shenzhen, 6 points; pixels of {STRETCHED_SIDE} x {STRETCHED_SIDE})",
            "coronal",
            "px",
            (3.0, 6.0, 9.0),
            ("test",),
            195,
        ),
    )
}

#: Radiographs labelled with labelme: any number of points, no published split.
LABELME = Benchmark("labelme", "Radiographs labelled with labelme", "coronal", "px", (5.0, 10.0, 20.0), ("test",), 0)

#: All sets that can be learnt from.
SETS = {**BENCHMARKS, LABELME.name: LABELME}

#: Recipes of published networks, by name.
METHODS: dict[str, Recipe] = {
    recipe.name: recipe for recipe in RECIPES if recipe.command == TRAIN and "architecture" in recipe.settings
}

#: Settings that differ on the grid of 512 pixels: full resolution, as published.
_FINE: dict[str, dict[str, Any]] = {
    "gu2net": {"options": {**METHODS["gu2net"].settings["options"], "stem": 1}},
    "scn": {
        "options": {**METHODS["scn"].settings["options"], "stem": 1, "learned_sigma": 2.5},
        "losses": [{"name": "mse", "weight": SCN_WEIGHT}, {"name": "sigma_penalty", "weight": SCN_WEIGHT}],
    },
}


def settings_of(method: str, benchmark: Benchmark, learnt: int | None = None) -> TrainingConfig:
    """A published network's settings on a benchmark.

    Args:
        learnt: number of training images, which sets the number of steps; that of the published split when None.

    Raises:
        UsageError: unknown method.
    """
    if method not in METHODS:
        raise UsageError(f"unknown recipe {method!r}", remedy=f"Choose one of: {', '.join(METHODS)}.")
    settings: Mapping[str, Any] = {
        **METHODS[method].settings,
        "name": f"{benchmark.name}-{method}",
        "sigma_mm": 3.0,
        "batch_size": _BATCH,
        "steps": max(1, _ROUNDS * (benchmark.learnt if learnt is None else learnt) // _BATCH),
        "checkpoint_steps": 250,
        "picture_steps": 1000,
        **_FINE.get(method, {}),
    }
    return TrainingConfig().replaced(dict(settings), source=method)


def read_split(
    benchmark: Benchmark,
    folder: Path,
    split: str,
    annotator: str,
    numbers: ImageNumbers | None = None,
    suffix: str = "",
) -> Iterator[LabelledImage]:
    """The images of a split, one by one.

    Args:
        split: TRAINING, VALIDATION or one of ``benchmark.tests``.
        annotator: of the points of the heads: "senior", "junior" or "mean".
        numbers: these images instead of those of the published split.
        suffix: of the images; that of the published set when empty.

    Raises:
        InputError: a file is missing or damaged.
        UsageError: the set has no published split.
    """
    if benchmark is LABELME:
        if numbers is None:
            raise UsageError("has no published splits", source=str(folder), remedy=NAME_SPLITS)
        return read_labelme(folder, numbers, annotator, suffix)
    published = None if numbers else split
    if benchmark.name == "hand":
        return read_hands(folder, published, numbers=numbers, suffix=suffix)
    if benchmark.name == "chest":
        return read_chests(folder, published, numbers=numbers, suffix=suffix)
    if numbers or split in benchmark.tests:
        return read_cephalometric(folder, published, annotator, numbers=numbers, suffix=suffix)
    learnt = split == TRAINING
    images = read_cephalometric(folder, "train", annotator, suffix=suffix)
    return (image for image in images if (int(image.name) <= _LAST_LEARNT_HEAD) == learnt)
