"""Whether the stated variation of the shape holds for heads that it was not measured on.

The anatomy's covariance comes from few heads. Measured anew without some of them, it should predict where the
extremes of these lie, given their other landmarks, as well as it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.planning.frame import fit_frame
from LandmarkTrainingLib.core.evaluation.metrics import markdown_table
from LandmarkTrainingLib.core.reference_heads.brain_extremes import EXTREMES, NORMAL_AXIS
from LandmarkTrainingLib.core.reference_heads.constellation import read_heads
from LandmarkTrainingLib.core.reference_heads.mean_shape import MeasuredShape, measure_shape

from .shapes import Shape, with_shape

FOLDS = 5

#: Stated deviation of the landmarks that the extremes are predicted from, mm.
LABEL_SD_MM = 1.0

#: Modes kept, and how the measured shape is changed.
CHOICES = (
    (8, Shape()),
    *((8, Shape(factor=factor)) for factor in (2.0, 3.0)),
    *((8, Shape(added_mm=mm)) for mm in (1.0, 1.5, 2.0)),
    *((8, Shape(extremes_mm=mm)) for mm in (1.5, 2.0, 3.0)),
    *((8, Shape(anisotropy=size)) for size in (0.03, 0.06)),
    (8, Shape(extremes_mm=2.0, anisotropy=0.03)),
    *((4, Shape(added_mm=mm)) for mm in (0.0, 1.5)),
    (0, Shape()),
)


def held_out_table(labels: Path, protocol: Protocol) -> str:
    """Errors of the extremes predicted in left-out label heads, over what is stated, for ``CHOICES``."""
    heads, constellation = read_heads(labels), protocol.constellation
    folds = []
    for fold in range(FOLDS):
        learnt = [head for number, head in enumerate(heads) if number % FOLDS != fold]
        shape = measure_shape(learnt, constellation.names, constellation.mirror_indices)
        folds.append((shape, heads[fold::FOLDS]))
    in_sample = [pair for head in heads for pair in predicted_extremes(head, protocol)]
    rows = [["as shipped, its own heads", *_summary(in_sample)]]
    for modes, change in CHOICES:
        pairs = []
        for measured, left_out in folds:
            changed = with_shape(_with_measured(protocol, measured, modes), change)
            pairs += [pair for head in left_out for pair in predicted_extremes(head, changed)]
        rows.append([_named(modes, change), *_summary(pairs)])
    header = ["shape, heads left out", "n", "error rms mm", "stated rms mm", "error over stated", "neg. log likelihood"]
    return markdown_table(header, rows)


def predicted_extremes(points_mm: Mapping[str, np.ndarray], protocol: Protocol) -> list[tuple[float, float]]:
    """(error outwards, stated deviation) in mm of every extreme that a head's other landmarks predict."""
    marks = [
        Landmark(name, place, np.eye(3) * LABEL_SD_MM**2, 1.0, PREDICTED)
        for name, place in points_mm.items()
        if name in protocol.constellation.names
    ]
    axes = fit_frame(marks, protocol).axes
    inner = fit_frame([mark for mark in marks if mark.name not in NORMAL_AXIS], protocol)
    covariance = inner.expected_covariance_mm2.reshape((len(inner.expected_mm), 3) * 2)
    found = []
    for extreme in EXTREMES:
        if extreme.name in points_mm:
            outward, k = extreme.sign * axes[extreme.axis], list(inner.expected_mm).index(extreme.name)
            error = (points_mm[extreme.name] - inner.expected_mm[extreme.name]) @ outward
            found.append((float(error), float(np.sqrt(outward @ covariance[k, :, k] @ outward))))
    return found


def _with_measured(protocol: Protocol, shape: MeasuredShape, modes: int) -> Protocol:
    constellation = protocol.constellation
    marks = tuple(
        replace(mark, reference_mm=place, sd_mm=sd)
        for mark, place, sd in zip(constellation.landmarks, shape.reference_mm, shape.sd_mm, strict=True)
    )
    return replace(protocol, constellation=replace(constellation, landmarks=marks, modes_mm=shape.modes_mm[:modes]))


def _named(modes: int, change: Shape) -> str:
    """The modes, and what is not as measured."""
    usual = asdict(Shape())
    changes = [f"{name} {value:g}" for name, value in asdict(change).items() if value != usual[name]]
    return ", ".join([f"{modes} modes", *changes])


def _summary(pairs: Sequence[tuple[float, float]]) -> list[str]:
    errors, stated = np.array(pairs).T
    scaled = errors / stated
    likelihood = np.mean(scaled**2 / 2 + np.log(stated))
    sizes = (np.sqrt(np.mean(values**2)) for values in (errors, stated, scaled))
    return [str(len(pairs)), *(f"{size:.2f}" for size in sizes), f"{likelihood:.2f}"]
