"""Made-up lateral head radiographs with the 19 cephalometric points, for what a training does with faint landmarks.

A skull of ellipses and curves, drawn through the points: some lie on sharp corners, some on smooth curves of low
contrast (the angle of the jaw), as in the real ones. Heads differ in pose, size, proportions, brightness and in how
far the two halves of the jaw lie apart, which blurs its angle.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from skimage.draw import line_aa, polygon

from LandmarkTrainingLib.core.simulator.render import SliceBatch
from LandmarkTrainingLib.core.xray.xray_source import XrayImages

#: Point -> (row, column) of a typical head that faces right, in parts of the image's side; rows grow upwards.
PLACES = {
    "SELLA": (0.66, 0.46),
    "NASION": (0.69, 0.78),
    "ORBITALE": (0.58, 0.70),
    "PORION": (0.56, 0.36),
    "SUBSPINALE": (0.43, 0.78),
    "SUPRAMENTALE": (0.26, 0.74),
    "POGONION": (0.19, 0.74),
    "MENTON": (0.15, 0.70),
    "GNATHION": (0.165, 0.725),
    "GONION": (0.28, 0.45),
    "LOWER_INCISAL": (0.36, 0.79),
    "UPPER_INCISAL": (0.34, 0.80),
    "UPPER_LIP": (0.39, 0.86),
    "LOWER_LIP": (0.31, 0.84),
    "SUBNASALE": (0.45, 0.86),
    "SOFT_POGONION": (0.19, 0.81),
    "POSTERIOR_NASAL_SPINE": (0.46, 0.55),
    "ANTERIOR_NASAL_SPINE": (0.46, 0.81),
    "ARTICULARE": (0.49, 0.39),
}
NAMES = tuple(PLACES)

#: Curves through points, (names, brightness).
CURVES = (
    (("ARTICULARE", "GONION", "MENTON"), 0.3),
    (("MENTON", "GNATHION", "POGONION", "SUPRAMENTALE", "LOWER_INCISAL"), 0.5),
    (("NASION", "ORBITALE"), 0.5),
    (("POSTERIOR_NASAL_SPINE", "ANTERIOR_NASAL_SPINE", "SUBSPINALE", "UPPER_INCISAL"), 0.6),
    (("NASION", "SUBNASALE", "UPPER_LIP", "LOWER_LIP", "SOFT_POGONION"), 0.25),
    (("PORION", "ARTICULARE"), 0.4),
)
#: Spots: (name, radius in parts of the side, brightness).
SPOTS = (("SELLA", 0.025, -0.5), ("PORION", 0.02, -0.5), ("LOWER_INCISAL", 0.012, 0.6), ("UPPER_INCISAL", 0.012, 0.6))


def toy_radiographs(count: int, side: int, seed: int) -> XrayImages:
    """``count`` radiographs of ``side`` x ``side`` pixels, all points in view."""
    rng = np.random.default_rng(seed)
    drawn = [_radiograph(side, rng) for _ in range(count)]
    images = torch.from_numpy(np.stack([image for image, _ in drawn])).float()
    points = torch.from_numpy(np.stack([places for _, places in drawn])).float()
    visible = ((points >= 0) & (points <= side - 1)).all(dim=-1)
    planes = torch.zeros(count, dtype=torch.long)
    batch = SliceBatch(images, planes, points, torch.zeros(points.shape[:2]), visible)
    sizes = np.ones((count, 2))
    return XrayImages(tuple(f"{i:03d}" for i in range(count)), NAMES, batch, sizes, sizes)


def _radiograph(side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Image (side, side) in 0..1 and points (k, 2), (row, column) pixels."""
    places = _shape(rng)
    pixels = places * side
    image = 0.25 * _filled(_skull(places) * side, side) + 0.1 * _filled(
        pixels[_index("NASION", "MENTON", "GONION")], side
    )
    jaw_apart = rng.normal(0, 0.02, 2) * side  # the two halves of the jaw are seen beside each other
    for names, brightness in CURVES:
        curve = _smooth(pixels[_index(*names)], side)
        shifts = (-jaw_apart / 2, jaw_apart / 2) if "GONION" in names else (np.zeros(2),)
        for shift in shifts:
            image += brightness * rng.uniform(0.4, 1.0) / len(shifts) * _stroke(curve + shift, side)
    row, column = np.indices((side, side))
    for name, radius, brightness in SPOTS:
        distance = np.hypot(row - pixels[NAMES.index(name), 0], column - pixels[NAMES.index(name), 1])
        image += brightness * rng.uniform(0.4, 1.0) * np.exp(-(distance**2) / (2 * (radius * side) ** 2))
    image += 0.15 * gaussian_filter(rng.normal(0, 1, (side, side)), side / 16) * side / 16  # uneven exposure
    image += rng.normal(0, 0.06, (side, side))
    image = gaussian_filter(image, 0.5)
    low, high = np.percentile(image, [1, 99.5])
    return np.clip((image - low) / (high - low), 0, 1.5), pixels


def _shape(rng: np.random.Generator) -> np.ndarray:
    """(k, 2) points of a random head, in parts of the side."""
    points = np.array(list(PLACES.values())) - 0.5
    points += rng.normal(0, 0.008, points.shape)
    # Long and short faces, forward and receding chins.
    lower = np.clip(0.1 - points[:, 0], 0, None)[:, None]
    points += lower * rng.normal(0, [0.12, 0.2])
    points[NAMES.index("GONION")] += rng.normal(0, 0.025, 2)
    angle = np.deg2rad(rng.normal(0, 6))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T * rng.normal(0.92, 0.04) + 0.5 + rng.normal(0, 0.02, 2)


def _skull(places: np.ndarray) -> np.ndarray:
    """(n, 2) outline of the brain case above sella and nasion."""
    center = places[NAMES.index("SELLA")] + [0.08, -0.05]
    angles = np.linspace(0, 2 * np.pi, 60)
    return center + np.stack([0.27 * np.sin(angles), 0.38 * np.cos(angles)], axis=-1)


def _smooth(corners: np.ndarray, side: int) -> np.ndarray:
    """(n, 2) a polyline with rounded corners through (near) the corners."""
    steps = [np.linspace(a, b, side // 4, endpoint=False) for a, b in zip(corners, corners[1:], strict=False)]
    line = np.concatenate([*steps, corners[-1:]])
    return gaussian_filter(line, (side / 40, 0), mode="nearest")


def _stroke(curve: np.ndarray, side: int) -> np.ndarray:
    """(side, side) 0..1 a line through the points of the curve."""
    image = np.zeros((side, side))
    pixels = np.clip(curve.round().astype(int), 0, side - 1)
    for (r0, c0), (r1, c1) in zip(pixels, pixels[1:], strict=False):
        rows, columns, values = line_aa(r0, c0, r1, c1)
        inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
        image[rows[inside], columns[inside]] = np.maximum(image[rows[inside], columns[inside]], values[inside])
    return gaussian_filter(image, side / 128) * 1.5


def _filled(outline: np.ndarray, side: int) -> np.ndarray:
    image = np.zeros((side, side))
    image[polygon(outline[:, 0], outline[:, 1], (side, side))] = 1
    return gaussian_filter(image, side / 64)


def _index(*names: str) -> list[int]:
    return [NAMES.index(name) for name in names]
