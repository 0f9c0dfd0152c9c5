"""How often each of the effects occurs that make simulated slices as varied as clinical scouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from AutoVolumeCalibrationLib.core.errors import UsageError


@dataclass(frozen=True)
class SimulationEffects:
    """Share of the slices (0..1) that show each effect; none by default.

    Attributes:
        single_shot: contrast and blur of a single-shot T2 sequence (label maps only).
        coil_shading: uncorrected shading by the elements of a receive coil.
        wrapped_nose: field of view shorter than the head, its front folds onto the back.
        children: head size 0.8-0.95 and a small face.
        ventricles: widened (or narrow) lateral ventricles (label maps only).
        atrophy: a thinner cortex with wide sulci (label maps only).
        lesions: white-matter lesions (label maps only).
        tumours: a tumour, some with oedema (label maps only).
        resections: a hole after surgery, through the skull or not (label maps only).
        dental_metal: a void where teeth or orthodontic metal are.
        small_field: field of view of 180-210 mm.
    """

    single_shot: float = 0.0
    coil_shading: float = 0.0
    wrapped_nose: float = 0.0
    children: float = 0.0
    ventricles: float = 0.0
    atrophy: float = 0.0
    lesions: float = 0.0
    tumours: float = 0.0
    resections: float = 0.0
    dental_metal: float = 0.0
    small_field: float = 0.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not 0 <= value <= 1:
                raise UsageError(f"{entry.name} is {value}", source="simulation", remedy="Give a share from 0 to 1.")

    @property
    def any_pathology(self) -> bool:
        """Whether anything is painted into the tissue."""
        return self.lesions + self.tumours + self.resections + self.dental_metal > 0

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> SimulationEffects:
        """The effects named in a configuration; UsageError where one is unknown or not a number."""
        known = [entry.name for entry in fields(SimulationEffects)]
        for name, value in values.items():
            if name not in known:
                raise UsageError(f"unknown effect {name}", source="simulation", remedy=f"Known: {', '.join(known)}.")
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise UsageError(f"{name} is {value!r}", source="simulation", remedy="Give a share from 0 to 1.")
        return SimulationEffects(**{name: float(value) for name, value in values.items()})
