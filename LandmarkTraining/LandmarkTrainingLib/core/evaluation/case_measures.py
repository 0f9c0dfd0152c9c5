"""The measures by which cases are compared: of landmarks, frame and box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..reference_heads.brain_extremes import NORMAL_AXIS
from .case_log import CaseResult
from .keypoint_metrics import PresenceScores, object_keypoint_similarity

#: The measure that decides which model is better.
PRIMARY = "in_plane_mm"

#: Measure -> description for reports. Lower is better for all but HIGHER_IS_BETTER.
MEASURES = {
    "in_plane_mm": "landmarks on slices near them, in-plane, mm",
    "landmark_3d_mm": "landmarks in space, mm",
    "rotation_deg": "rotation of the box, deg",
    "center_mm": "centre of the box, mm",
    "face_mm": "worst face of the box, mm",
    "iou": "overlap of the boxes (IoU)",
}
#: The measures in sentences, and their units.
NAMES = {
    "in_plane_mm": "in-plane error",
    "landmark_3d_mm": "3D error",
    "rotation_deg": "rotation of the box",
    "center_mm": "centre of the box",
    "face_mm": "worst face",
    "iou": "overlap of the boxes",
}
UNITS = {name: "deg" if name.endswith("deg") else "" if name == "iou" else "mm" for name in NAMES}
HIGHER_IS_BETTER = ("iou",)

#: Standard deviation of a careful reader's points, mm: what the keypoint similarity measures errors by; COCO's constant
#: is twice as much. Readers of the anatomical fiducials differ by 1 to 2 mm (Lau et al. 2019, Hum Brain Mapp 40:4163).
READER_SD_MM = 1.5


def case_measures(case: CaseResult) -> dict[str, float]:
    """Measure -> value of a case; NaN where the truth does not determine it or the case was refused.

    Landmarks count by their median: on the slices near them with an infinite error for those not found; in space
    without these, because a landmark may lie far from every slice.
    """
    in_plane = [np.inf if error is None else error for error in in_plane_errors(case)]
    box = case.box
    return {
        "in_plane_mm": _median(in_plane),
        "landmark_3d_mm": _median(_in_space(case)),
        "rotation_deg": box.rotation_deg if box else float("nan"),
        "center_mm": box.center_mm if box else float("nan"),
        "face_mm": float(np.abs(box.faces_mm).max()) if box else float("nan"),
        "iou": box.iou if box else float("nan"),
    }


def is_failure(case: CaseResult) -> bool:
    """Whether the model refused the case, or did not find half of the landmarks on the slices near them."""
    return case.failure is not None or bool(np.isinf(case_measures(case)[PRIMARY]))


def in_plane_errors(case: CaseResult) -> list[float | None]:
    """Errors of all landmarks on all slices near them, None for those not found."""
    return [error for names in case.in_plane_mm.values() for errors in names.values() for error in errors]


def similarities(cases: Sequence[CaseResult]) -> tuple[np.ndarray, np.ndarray]:
    """Keypoint similarity (n,) of the landmarks in space, and the confidence (n,) of each case as a detection.

    The confidence is the mean peak of the landmarks found; where a case does not state it (baselines, logs of earlier
    versions) all are equally confident. A refused case is not a detection: NaN, with a similarity of 0. A case without
    truth has NaN as similarity.
    """
    stated = all(case.mean_peak is not None for case in cases if case.failure is None)
    values, confidences = [], []
    for case in cases:
        distances = np.array([*_in_space(case), *(np.inf for name in case.missing if name not in NORMAL_AXIS)])
        constants = np.full(len(distances), 2 * READER_SD_MM)
        refused = case.failure is not None
        values.append(0.0 if refused else float(object_keypoint_similarity(distances, constants, np.array(1.0))))
        confidences.append(np.nan if refused else case.mean_peak if stated else 1.0)
    return np.array(values), np.array(confidences, dtype=float)


def presence(cases: Sequence[CaseResult]) -> PresenceScores:
    """Landmarks found against present ones and those that the user removed; true negatives are not counted."""
    return PresenceScores(
        true_positives=sum(len(case.landmarks_mm) for case in cases),
        false_positives=sum(len(case.invented) for case in cases),
        false_negatives=sum(len(case.missing) for case in cases),
        true_negatives=0,
    )


def _in_space(case: CaseResult) -> list[float]:
    """Errors in space of the landmarks found; extremes, known along one axis only, are left out."""
    return [error for name, error in case.landmarks_mm.items() if name not in NORMAL_AXIS]


def _median(errors: Sequence[float]) -> float:
    return float(np.median(errors)) if errors else float("nan")
