"""Limits of what a model shows, beyond which a plan or an orientation is in doubt; a bundle states its model's own.

Every value here was measured on the landmarks of one model and holds for no other: another network has other peaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ModelLimits:
    """Limits of one model. Pairs are (warning, error).

    The defaults are those of bundles that state none: the values that version 0.2 had in its code. They were measured
    with `brain-scout` 0.1.0, from which such bundles descend or whose settings they share.

    Attributes:
        clear_peak: mean of the ten highest peaks below which the anatomy is hard to recognise, and ...
        anatomy_peak: ... below which there is none. `brain-scout` 0.1.0: heads of split train 0.87-0.99, drawn shapes
            0.31-0.65, phantoms 0.44 and 0.73, a neck 0.78 (``shape_mm`` detects the objects with high peaks).
        doubtful_peak: a landmark with a lower peak is not clearly visible.
        shape_mm: median distance of the found points from where the others expect them. The same model: heads 1.3-1.7
            with five slices per plane, 1.8-5.4 with one; phantoms, drawn shapes and necks 5.7-17.
        outlier_share: of the found landmarks, that contradict the others or that planes place differently.
        found_share: of the protocol's landmarks, that are found.
        oblique_deg: a slice more oblique to the planes of the head is unlike the images of the training.
        dense_peak: mean peak of the found landmarks below which the orientation of the head may be wrong, with several
            slices in every stack. The same model on four heads: upright 0.80-0.85, rotated by 45-180 deg 0.49-0.78.
        sparse_peak: the same with few slices, where many landmarks lie far from them: 0.75-0.80, and 0.41-0.60.
        orientation_score: sum of the peaks that agree with the frame, per landmark, of an orientation worth taking:
            heads in the right orientation 0.51-0.86, a phantom 0.19.
        orientation_gain: how much better the score of another orientation must be.
        turned_deg: a stack gets a second look where the head is turned in its slices by more than this. Up to it the
            second look neither gains nor loses (``Testing/benchmarks/second_look.py``).
        profile_peak: half turns are tried where the landmarks' highest peaks in the sagittal slices have a lower mean:
            a half turn mirrors or reverses the profile. Heads that pass ``dense_peak`` have 0.73-0.90, and after a
            half turn 0.18-0.42 (the same benchmark).
        recognition_score: the same score of the middle slices, from which on the model is sure that the scouts show its
            anatomy (``workflow.recognition``). Measured by ``Testing/benchmarks/recognition.py``.
        recognition_lead: by how much it must then exceed the score of every other sure model. Assumed, until the
            benchmark has recorded it.
    """

    clear_peak: float = 0.70
    anatomy_peak: float = 0.60
    doubtful_peak: float = 0.35
    shape_mm: tuple[float, float] = (4.0, 5.2)
    outlier_share: tuple[float, float] = (0.12, 0.34)
    found_share: tuple[float, float] = (0.5, 0.2)
    oblique_deg: float = 30.0
    dense_peak: float = 0.79
    sparse_peak: float = 0.72
    orientation_score: float = 0.45
    orientation_gain: float = 0.05
    turned_deg: float = 10.0
    profile_peak: float = 0.65
    recognition_score: float = 0.45
    recognition_lead: float = 0.1

    def to_dict(self) -> dict[str, Any]:
        """The section `limits` of a bundle's metadata and of calibration.json."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


#: Those of bundles that state none.
DEFAULT_LIMITS = ModelLimits()


def limits_from_dict(entry: Mapping[str, Any]) -> ModelLimits:
    """The limits stated in a bundle or a result, the defaults for those not stated; ValueError where they are damaged.

    Names of later versions are ignored.
    """
    known = {field.name: field.default for field in fields(ModelLimits)}
    try:
        stated = {name: _value(entry[name], known[name]) for name in known if name in entry}
    except (TypeError, ValueError) as error:
        raise ValueError(f"its limits are damaged ({error})") from error
    return ModelLimits(**stated)


def _value(stated: Any, default: Any) -> Any:
    """``stated`` as a number or a pair of them, like ``default``."""
    numbers = np.array(stated, dtype=float)
    if numbers.shape != np.shape(default) or not np.isfinite(numbers).all() or (numbers < 0).any():
        raise ValueError(f"{stated!r} is not like {default!r}")
    return tuple(numbers.tolist()) if numbers.ndim else float(numbers)
