"""Scouts whose anatomy is known: heads, simulated knees, and what is neither.

Heads are those of split `train` and label maps that the brain model learnt from; a head of split `validation` is never
taken. Each case is a name, its truth, and a function that makes the scouts: what is in the log already is not made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from limits_of_scouts.non_heads import below_heads, phantoms

from AutoVolumeCalibrationLib.core.anatomy.protocol_file import shipped_anatomy
from AutoVolumeCalibrationLib.core.files.resources import resource_path
from AutoVolumeCalibrationLib.core.scouts.reader import read_scouts
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
from LandmarkTrainingLib.core.coverage.risk.non_heads import SHAPES, noise_scouts, shape_scouts
from LandmarkTrainingLib.core.evaluation.evaluation import add_noise
from LandmarkTrainingLib.core.reference_heads.heads import list_heads
from LandmarkTrainingLib.core.simulator.study_rendering import studies_of_labels, studies_of_volumes

from .limits import BESIDE

BRAIN, KNEE, NEITHER = "brain", "knee", "neither"

#: Slices per plane -> the geometry of a localizer.
GEOMETRIES = {
    5: ScoutGeometry(5, 12.0, 6.0),
    3: ScoutGeometry(3, 15.0, 6.0),
    1: ScoutGeometry(1, 0.0, 6.0),
}

MANY = max(GEOMETRIES)

#: Standard deviation of the noise over the brightest pixel.
NOISE = 0.02


@dataclass(frozen=True, eq=False)
class Case:
    """One study.

    Attributes:
        name: unique; truth: BRAIN, KNEE or NEITHER; kind: for the table; slices: per plane, 0: as acquired.
        stacks: makes or reads the scouts.
    """

    name: str
    truth: str
    kind: str
    slices: int
    stacks: Callable[[], Sequence[ScoutStack]]


def cases(data: Path | None, knees: Path | None, count: int, seed: int) -> Iterator[Case]:
    """All cases.

    Args:
        data: holds ``heads.csv``, ``labels`` and ``localizers``; None: the sample head and drawn bodies only.
        knees: label maps that ``autovolume knees`` wrote with a seed apart from that of the training.
        count: studies of each kind and geometry.
    """
    yield from _samples(count, seed)
    if knees is not None:
        yield from _simulated(knees, KNEE, "simulated knee", count, seed)
    if data is not None:
        yield from _others(data, count)
        yield from _heads(data, count, seed)
    yield from _drawn(count, seed)


def _samples(count: int, seed: int) -> Iterator[Case]:
    """The shipped sample studies, which state their anatomy by their folder."""
    for folder, truth in (("ColinScouts", BRAIN), ("KneeScouts", KNEE)):
        path = resource_path("SampleData", folder, "dicom")
        if path.is_dir():
            read = partial(read_scouts, [path])
            yield Case(f"sample {folder}", truth, f"sample {truth}", 5, read)
            yield from _beside(read, f"sample {truth}", truth, count, seed)


def _heads(data: Path, count: int, seed: int) -> Iterator[Case]:
    constellation = shipped_anatomy(BRAIN)
    assert constellation is not None
    for slices, geometry in GEOMETRIES.items():

        def real(number: int, geometry: ScoutGeometry = geometry) -> Sequence[ScoutStack]:
            studies = studies_of_volumes(data, "train", constellation, geometry, number + 1, seed)
            return add_noise(list(studies)[number].stacks, NOISE, np.random.default_rng((seed, number)))

        for number in range(count):
            yield Case(f"real head {number}, {slices}", BRAIN, "real head", slices, partial(real, number))
            if slices == MANY:
                yield from _beside(partial(real, number), f"real head {number}", BRAIN, 1, (seed, number))
    yield from _simulated(data / "labels", BRAIN, "simulated head", count, seed)


def _simulated(labels: Path, anatomy: str, kind: str, count: int, seed: int) -> Iterator[Case]:
    constellation = shipped_anatomy(anatomy)
    assert constellation is not None
    for slices, geometry in GEOMETRIES.items():
        # Made one after the other, but only once the first of them is asked for.
        made: list[Sequence[ScoutStack]] = []

        def study(number: int, geometry: ScoutGeometry = geometry, made: list = made) -> Sequence[ScoutStack]:
            if not made:
                made += [one.stacks for one in studies_of_labels(labels, constellation, geometry, count, seed)]
            return made[number]

        for number in range(count):
            yield Case(f"{kind} {number}, {slices}", anatomy, kind, slices, partial(study, number))
            if slices == MANY:
                yield from _beside(partial(study, number), f"{kind} {number}", anatomy, 1, (seed, number))


def _beside(
    read: Callable[[], Sequence[ScoutStack]], name: str, truth: str, count: int, seed: int | tuple[int, ...]
) -> Iterator[Case]:
    """Studies with one slice of each stack, taken at random: it may lie far beside the middle."""
    kind = f"{name.rstrip('0123456789 ')}, {BESIDE}"
    for number in range(count):

        def single(number: int = number) -> Sequence[ScoutStack]:
            stacks, rng = read(), np.random.default_rng((*np.atleast_1d(seed), number))
            return [replace(stack, slices=(stack.slices[rng.integers(len(stack.slices))],)) for stack in stacks]

        yield Case(f"{name}, {BESIDE} {number}", truth, kind, 1, single)


def _drawn(count: int, seed: int) -> Iterator[Case]:
    for slices, geometry in GEOMETRIES.items():
        for number in range(count):
            rng = np.random.default_rng((seed, slices, number))
            name = [*SHAPES, "noise"][number % (len(SHAPES) + 1)]
            make = partial(noise_scouts, geometry, rng) if name == "noise" else partial(_shape, name, geometry, rng)
            yield Case(f"{name} {number}, {slices}", NEITHER, "drawn body or noise", slices, make)


def _shape(name: str, geometry: ScoutGeometry, rng: np.random.Generator) -> Sequence[ScoutStack]:
    return add_noise(shape_scouts(name, geometry, rng), NOISE, rng)


def _others(data: Path, count: int) -> Iterator[Case]:
    for name, read in phantoms(data):
        yield Case(name, NEITHER, "phantom", 0, read)
    for name, read in below_heads(list_heads(data, "train")[:count]):
        yield Case(name, NEITHER, "neck", 5, read)
