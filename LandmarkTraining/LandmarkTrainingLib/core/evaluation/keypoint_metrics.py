"""Keypoint metrics: object keypoint similarity and its average precision, presence.

A case is one head (or slice) with k landmarks. Distances are mm, NaN where a landmark's truth is unknown and infinite
where it was not found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Similarities from which a case counts as found, for the mean average precision (COCO).
OKS_THRESHOLDS = tuple(np.round(np.arange(0.50, 0.96, 0.05), 2).tolist())

#: Recalls at which COCO reads the precision.
_RECALLS = np.linspace(0, 1, 101)


def object_keypoint_similarity(distances_mm: np.ndarray, constants: np.ndarray, scale_mm: np.ndarray) -> np.ndarray:
    """Mean over the known landmarks of ``exp(-d^2 / (2 scale^2 constant^2))`` (COCO keypoint evaluation).

    COCO's constant is twice the standard deviation of a careful reader's points, relative to the scale, and its scale
    is the square root of the object's area; here the scale is the size of the head in mm.

    Args:
        distances_mm: (..., k); NaN: unknown, does not count; infinite: not found, counts 0.
        constants: (k,) per landmark, positive.
        scale_mm: (...) per case, or one number for all.

    Returns:
        (...) in 0..1; NaN for a case without known landmarks.
    """
    distances, constants = np.asarray(distances_mm, dtype=float), np.asarray(constants, dtype=float)
    scale = np.asarray(scale_mm, dtype=float)[..., None]
    if not ((constants > 0).all() and (scale > 0).all()):
        raise ValueError("constants and scales must be positive")
    known = ~np.isnan(distances)
    similarity = np.where(known, np.exp(-(distances**2) / (2 * (scale * constants) ** 2)), 0)
    count = known.sum(axis=-1)
    return np.where(count > 0, similarity.sum(axis=-1) / np.maximum(count, 1), np.nan)


def average_precision(similarities: np.ndarray, confidences: np.ndarray, threshold: float) -> float:
    """Area under the precision-recall curve, precision read at 101 recalls as COCO does.

    Each case has one object and at most one detection, which is right if its similarity reaches the ``threshold``.
    Detections of the same confidence enter the curve together: their order does not matter.

    Args:
        similarities: (n,) object keypoint similarity of each case; NaN: without truth, does not count.
        confidences: (n,) of the detections; NaN: the case's object was not detected.

    Returns:
        0..1; NaN without cases.
    """
    similarities, confidences = np.asarray(similarities, dtype=float), np.asarray(confidences, dtype=float)
    counted = ~np.isnan(similarities)
    total = int(counted.sum())
    if not total:
        return float("nan")
    detected = counted & ~np.isnan(confidences)
    if not detected.any():
        return 0.0
    order = np.argsort(-confidences[detected], kind="stable")
    confidence, right = confidences[detected][order], similarities[detected][order] >= threshold
    last_of_its_confidence = np.append(np.diff(confidence) != 0, True)
    hits = np.cumsum(right)[last_of_its_confidence]
    precision = hits / np.arange(1, len(right) + 1)[last_of_its_confidence]
    # The best precision at this recall or a larger one.
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(hits / total, _RECALLS, side="left")].mean())


def mean_average_precision(similarities: np.ndarray, confidences: np.ndarray) -> float:
    """Mean of :func:`average_precision` over OKS_THRESHOLDS."""
    return float(np.mean([average_precision(similarities, confidences, t) for t in OKS_THRESHOLDS]))


@dataclass(frozen=True)
class PresenceScores:
    """Counts and ratios of present and absent landmarks found; a ratio without cases is NaN."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def precision(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        return _ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
