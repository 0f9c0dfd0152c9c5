"""Landmarks of the distal femur by rules, in a frame within about 15 deg of the knee's own.

The notch between the condyles, found from below, separates right from left. Heights are counted from the lowest point.
"""

from __future__ import annotations

import numpy as np

from .surface_points import envelope, outermost, section_centers, shaft_center

#: Levels of the shaft points above the mean distal condyle, as fractions of the epicondylar width.
SHAFT_LOW, SHAFT_HIGH = 0.5, 0.75

#: Cross-sections from this fraction on belong to the shaft, whose direction they give.
SHAFT_START = 0.47

#: The condyles reach this high above the lowest point; the epicondyles lie in this range of heights, mm.
CONDYLE_HEIGHT_MM, EPICONDYLE_RANGE_MM = 40.0, (12.0, 45.0)

#: Distal points lie in the rear 75 % of the condyles' depth: in front is the trochlea.
DISTAL_PART = 0.75

#: The notch's roof is measured at this part of the condyles' depth, within this distance of the notch's middle, mm.
ROOF_DEPTH, ROOF_HALF_MM = 0.45, 8.0


def femur_landmarks(femur: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> (3,) of the landmarks of a femur (n, 3) (right, anterior, superior mm)."""
    lowest = np.partition(femur[:, 2], 50)[50]
    condyles = femur[femur[:, 2] < lowest + 32]
    front, rear = np.percentile(condyles[:, 1], [99.5, 0.5])
    middle = _notch_middle(femur, condyles, rear, front, lowest)
    found = {}
    for side, sign in (("R", 1), ("L", -1)):
        half = femur[sign * (femur[:, 0] - middle) > 3]
        condyle = half[half[:, 2] < lowest + CONDYLE_HEIGHT_MM]
        found[f"COND_POST_{side}"] = outermost(condyle, 1, -1)
        behind_trochlea = condyle[condyle[:, 1] < rear + DISTAL_PART * (front - rear)]
        found[f"COND_DIST_{side}"] = outermost(behind_trochlea, 2, -1)
        low, high = lowest + np.array(EPICONDYLE_RANGE_MM)
        found[f"EPICOND_{side}"] = outermost(half[(half[:, 2] > low) & (half[:, 2] < high)], 0, sign, depth_mm=3.5)
    found["NOTCH_ROOF"] = _notch_roof(femur, middle, rear + ROOF_DEPTH * (front - rear))
    return found | _shaft(femur, found)


def epicondylar_width(landmarks: dict[str, np.ndarray]) -> float:
    """Distance of the epicondyles along the right axis, mm: the size that shaft points scale with."""
    return float(landmarks["EPICOND_R"][0] - landmarks["EPICOND_L"][0])


def shaft_direction(femur: np.ndarray, landmarks: dict[str, np.ndarray]) -> np.ndarray:
    """(3,) unit direction of the shaft, upwards; the superior axis where too little of it is in the label map."""
    start = _joint_level(landmarks) + SHAFT_START * epicondylar_width(landmarks)
    centers = section_centers(femur, start, femur[:, 2].max() - 3)
    if len(centers) < 5:
        return np.array([0.0, 0.0, 1.0])
    direction = np.linalg.svd(centers - centers.mean(axis=0))[2][0]
    return direction * np.sign(direction[2])


def _joint_level(landmarks: dict[str, np.ndarray]) -> float:
    return float(landmarks["COND_DIST_R"][2] + landmarks["COND_DIST_L"][2]) / 2


def _shaft(femur: np.ndarray, landmarks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    level, width = _joint_level(landmarks), epicondylar_width(landmarks)
    found = {}
    for name, fraction in (("FEMUR_SHAFT_LOW", SHAFT_LOW), ("FEMUR_SHAFT_HIGH", SHAFT_HIGH)):
        center = shaft_center(femur, level + fraction * width, level + SHAFT_START * width)
        if center is not None:
            found[name] = center
    return found


def _notch_middle(femur: np.ndarray, condyles: np.ndarray, rear: float, front: float, lowest: float) -> float:
    """Right coordinate of the notch's middle, from the lower envelope of the rear half of the condyles."""
    from scipy.ndimage import gaussian_filter1d

    depth = femur[:, 1]
    part = femur[(depth < (rear + front) / 2) & (depth > rear + 6) & (femur[:, 2] < lowest + 50)]
    right, _, heights = envelope(part, -1)
    filled = np.isfinite(heights).sum(axis=1) > 5
    profile = np.full(len(right), lowest + 30.0)
    profile[filled] = [np.nanpercentile(column, 15) for column in heights[filled]]
    profile = gaussian_filter1d(profile, 2)
    first, last = np.percentile(condyles[:, 0], [1, 99])
    inner = (right > first + 0.3 * (last - first)) & (right < last - 0.3 * (last - first))
    # The middle of the notch's flat top, not its one highest cell, which is noise.
    return float(right[inner & (profile > profile[inner].max() - 3)].mean())


def _notch_roof(femur: np.ndarray, middle: float, anterior: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    near = (np.abs(femur[:, 0] - middle) < ROOF_HALF_MM) & (np.abs(femur[:, 1] - anterior) < 2.5)
    right, _, heights = envelope(femur[near], -1)
    profile = gaussian_filter1d(np.nanmedian(heights, axis=1), 1.0)
    top = profile.max()
    return np.array([right[profile > top - 1.5].mean(), anterior, top])
