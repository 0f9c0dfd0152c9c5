"""Small data sets for tests: brain landmarks where the reference has them, in scouts of an ellipsoid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.scouts.stack import ScoutStack
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy, append_study
from calibrations import scout_stacks
from posed_landmarks import landmarks_at, random_shape

PROTOCOL = load_protocol("BrainAcPc")


@lru_cache
def seven_slices() -> tuple[ScoutStack, ...]:
    """Scouts of the ellipsoid with seven slices per plane."""
    return scout_stacks(7)


def noisy(stacks: Sequence[ScoutStack], seed: int) -> tuple[ScoutStack, ...]:
    """The stacks with other pixels."""
    rng = np.random.default_rng(seed)
    return tuple(
        replace(
            stack,
            slices=tuple(
                replace(s, pixels=s.pixels + rng.normal(0, 5, s.pixels.shape).astype(np.float32)) for s in stack.slices
            ),
        )
        for stack in stacks
    )


def brain_study(name: str, seed: int = 0, **provenance: Any) -> LabelledStudy:
    """Seven slices per plane with every landmark of a head drawn from the constellation, all placed by hand."""
    marks = landmarks_at(PROTOCOL, random_shape(PROTOCOL, np.random.default_rng(seed)))
    landmarks = tuple(mark.corrected(mark.position_mm) for mark in marks)
    return LabelledStudy(name, noisy(seven_slices(), seed), landmarks, {"kind": "files", **provenance})


def with_points(study: LabelledStudy, **places: Any) -> LabelledStudy:
    """The study with other places of some landmarks, RAS mm; None takes one away, a new name adds one."""
    points = {mark.name: mark.position_mm for mark in study.landmarks} | places
    marks = (Landmark(name).corrected(np.asarray(place, float)) for name, place in points.items() if place is not None)
    return replace(study, landmarks=tuple(marks))


def swapped(study: LabelledStudy, *pairs: tuple[str, str]) -> LabelledStudy:
    """The study with the places of some landmarks exchanged."""
    points = {mark.name: mark.position_mm for mark in study.landmarks}
    return with_points(study, **{a: points[b] for pair in pairs for a, b in (pair, pair[::-1])})


def write_set(folder: Path, studies: Iterable[LabelledStudy]) -> Path:
    """A data set of the studies."""
    for study in studies:
        append_study(folder, study, PROTOCOL.constellation)
    return folder
