"""Protocols whose heads are said to differ more, or otherwise, than the anatomy file says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from LandmarkTrainingLib.core.reference_heads.brain_extremes import NORMAL_AXIS


@dataclass(frozen=True)
class Shape:
    """How the shape's covariance is changed.

    Attributes:
        factor: on all variances and modes.
        added_mm: independent deviation more of every coordinate; extremes_mm: of the extremes alone.
        anisotropy: standard deviation of the log sizes along the three axes, as further modes.
    """

    factor: float = 1.0
    added_mm: float = 0.0
    extremes_mm: float = 0.0
    anisotropy: float = 0.0


@cache
def with_shape(protocol: Protocol, shape: Shape) -> Protocol:
    """The protocol with its constellation's covariance changed."""
    constellation = protocol.constellation
    stretch = [shape.anisotropy * (constellation.reference_mm * axis).ravel() for axis in np.eye(3)]
    added = np.array(stretch if shape.anisotropy else []).reshape(-1, constellation.modes_mm.shape[1])
    stretched = (added**2).sum(axis=0).reshape(-1, 3)
    marks = []
    for mark, of_stretch in zip(constellation.landmarks, stretched, strict=True):
        own = shape.added_mm**2 + (shape.extremes_mm**2 if mark.name in NORMAL_AXIS else 0.0)
        marks.append(replace(mark, sd_mm=np.sqrt(mark.sd_mm**2 * shape.factor + own + of_stretch)))
    modes = np.vstack([constellation.modes_mm * np.sqrt(shape.factor), added])
    return replace(protocol, constellation=replace(constellation, landmarks=tuple(marks), modes_mm=modes))
