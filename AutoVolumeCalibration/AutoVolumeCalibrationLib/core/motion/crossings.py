"""What two stacks show along the lines where their slices cross.

Where two slices of a head at rest cross, they show the same tissue. If the head moved between two stacks, the slices
of one lie elsewhere in the head than stated: each stack gets a rigid offset of its geometry, and the right offsets make
the profiles agree. No gradient through a slice is needed: offset slices cross in other lines, within both images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry.oriented_box import OrientedBox
from ..geometry.rotations import rotation_about
from ..scouts.stack import ScoutStack
from .crossing_images import CrossingImage, chosen_slices, crossing_images, moving_mean

#: Half the length of the profiles about the middle of the stacks, mm.
REACH_MM = 110.0

#: Smallest sine of the angle between two planes that are compared.
CROSSING = 0.5

#: A line is compared where both images show so many samples, and where its contrast is at least so large a share of
#: the pair's median: lines beside the head show noise.
FEWEST_SAMPLES, LEAST_CONTRAST = 16, 0.25

#: Values count relative to the mean over surroundings of this width along the line, plus this share of the lines' mean.
SURROUNDINGS_MM, FAINT = 40.0, 0.5

#: Contrast of a line through an image without any.
FAINTEST = 1e-6

#: Parameters of one stack's offset: rotation vector in rad, shift in mm.
PARAMETERS = 6


@dataclass(frozen=True, eq=False)
class Profiles:
    """Differences between the profiles of two stacks along l lines of t samples.

    Attributes:
        first, second: numbers of the stacks.
        difference: (l, t) of the profiles, each with mean 0 and standard deviation 1; 0 where not known.
        known: (l, t) bool.
        slopes: (2, l, t, 6): derivative of the difference by the offset of the first and of the second stack.
        correlation: (l,) of the two profiles.
    """

    first: int
    second: int
    difference: np.ndarray
    known: np.ndarray
    slopes: np.ndarray
    correlation: np.ndarray


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two stacks that cross, with their images prepared for each other."""

    first: int
    second: int
    images: tuple[Sequence[CrossingImage], Sequence[CrossingImage]]


class Crossings:
    """The crossing slices of stacks of different ``bodies``, in pixels and samples of about ``pixel_mm``.

    With a ``region`` only what lies in it is compared, and offsets are about its middle.
    """

    def __init__(
        self, stacks: Sequence[ScoutStack], bodies: Sequence[int], pixel_mm: float, region: OrientedBox | None = None
    ) -> None:
        self.center_mm, self.pixel_mm = region.center_mm if region else middle_of(stacks), pixel_mm
        self._region = region
        self._steps = np.arange(-REACH_MM, REACH_MM + pixel_mm / 2, pixel_mm)
        self._pairs = _pairs(stacks, bodies, pixel_mm)

    def profiles(self, offsets: np.ndarray) -> list[Profiles]:
        """The profiles of all pairs with the stacks moved by ``offsets`` (n, 6) about the middle of the stacks."""
        return [self._compare(pair, offsets) for pair in self._pairs]

    def _compare(self, pair: _Pair, offsets: np.ndarray) -> Profiles:
        numbers = (pair.first, pair.second)
        sides = [self._placed(images, offsets[n]) for images, n in zip(pair.images, numbers, strict=True)]
        points, across = self._lines(sides)
        count = [len(images) for images in pair.images]
        chosen = np.stack(np.meshgrid(*map(np.arange, count), indexing="ij"), axis=-1).reshape(-1, 2)
        samples = [_sampled(pair.images[i], chosen[:, i], *sides[i], points) for i in range(2)]
        known = samples[0][1] & samples[1][1]
        if self._region:
            known &= self._region.contains(points)
        arms = [points - self.center_mm - offsets[n, 3:] for n in numbers]
        # (l, t, 6) by which a stack's planes move along their normal at the points.
        moved = [_displacements(arm, axes[2]) for arm, (axes, _) in zip(arms, sides, strict=True)]
        values, scales, slopes = [], [], []
        for i, (axes, _) in enumerate(sides):
            layers = samples[i][0]
            gradient = layers[1][..., None] * axes[0] + layers[2][..., None] * axes[1]
            # The line moves to where the moved planes cross; the image moves with its own stack.
            by = [(gradient @ across[:, other])[..., None] * moved[other] for other in range(2)]
            by[i] = by[i] - _displacements(arms[i], gradient)
            surroundings = _Surroundings(layers[0], known, self.pixel_mm)
            value, scale = _standardised(surroundings.flat(layers[0]), known)
            values.append(value)
            scales.append(scale)
            flat = [surroundings.flat_slope(part) for part in by]
            slopes.append(np.stack([_centred(part, known) / scale[:, None, None] for part in flat]))
        enough = _worth_comparing(known, np.minimum(*scales))
        known = known & enough[:, None]
        correlation = (values[0] * values[1] * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        slope = np.where(known[..., None], slopes[0] - slopes[1], 0.0)
        difference = np.where(known, values[0] - values[1], 0.0)
        return Profiles(*numbers, difference, known, slope, correlation[enough])

    def _lines(self, sides: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Where the slices of two stacks cross, given as ``_placed`` gives them.

        Returns:
            Points (l, t, 3) RAS; and (3, 3), whose first two columns say how a line moves for each mm by which the
            planes of the first and of the second stack move along their normals.
        """
        normals = [axes[2] for axes, _ in sides]
        direction = np.cross(*normals)
        direction = direction / np.linalg.norm(direction)
        across = np.linalg.inv(np.stack([*normals, direction]))
        depths = [origins @ normal for (_, origins), normal in zip(sides, normals, strict=True)]
        depth = np.stack(np.meshgrid(*depths, indexing="ij"), axis=-1).reshape(-1, 2)
        starts = depth @ across[:, :2].T + (direction @ self.center_mm) * across[:, 2]
        return starts[:, None] + self._steps[:, None] * direction, across

    def _placed(self, images: Sequence[CrossingImage], offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Axes (3, 3), rows as in CrossingImage, and origins (s, 3) of the slices of a stack moved by ``offset``."""
        rotation = rotation_about(offset[:3])
        origins = np.array([image.origin_mm for image in images]) - self.center_mm
        return images[0].axes @ rotation.T, origins @ rotation.T + self.center_mm + offset[3:]


def middle_of(stacks: Sequence[ScoutStack]) -> np.ndarray:
    """(3,) RAS: mean of the stacks' middles, about which their offsets rotate."""
    middle: np.ndarray = np.mean([np.mean([s.center_mm for s in stack.slices], axis=0) for stack in stacks], axis=0)
    return middle


def _pairs(stacks: Sequence[ScoutStack], bodies: Sequence[int], pixel_mm: float) -> list[_Pair]:
    pairs: list[_Pair] = []
    for first, one in enumerate(stacks):
        for second in range(first + 1, len(stacks)):
            other = stacks[second]
            if bodies[first] == bodies[second] or np.linalg.norm(np.cross(one.normal, other.normal)) < CROSSING:
                continue
            chosen = chosen_slices(one), chosen_slices(other)
            if not all(chosen):
                continue
            images = (
                crossing_images(chosen[0], other.normal, other.thickness_mm, pixel_mm),
                crossing_images(chosen[1], one.normal, one.thickness_mm, pixel_mm),
            )
            pairs.append(_Pair(first, second, images))
    return pairs


def _worth_comparing(known: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """(l,) bool of the lines, from what is known of them (l, t) and their lower standard deviation (l,)."""
    enough: np.ndarray = known.sum(axis=1) >= FEWEST_SAMPLES
    if not enough.any():
        return enough
    return enough & (contrast >= LEAST_CONTRAST * np.median(contrast[enough])) & (contrast > FAINTEST)


def _displacements(arms: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """(..., 6): what a small offset of a stack moves the points at ``arms`` (..., 3) along ``direction`` (..., 3)."""
    x, y, z = np.moveaxis(arms, -1, 0)
    u, v, w = np.moveaxis(direction, -1, 0)
    displacements = np.empty((*arms.shape[:-1], PARAMETERS))
    # The cross product, written out: numpy's takes a third of the time of the whole comparison.
    for i, component in enumerate((y * w - z * v, z * u - x * w, x * v - y * u, u, v, w)):
        displacements[..., i] = component
    return displacements


def _sampled(
    images: Sequence[CrossingImage], numbers: np.ndarray, axes: np.ndarray, origins: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(3, l, t) layers of the images ``numbers`` (l,) at points (l, t, 3), and where they are known."""
    layers, known = np.empty((3, *points.shape[:2])), np.empty(points.shape[:2], dtype=bool)
    for i, image in enumerate(images):
        lines = numbers == i
        layers[:, lines], known[lines] = image.sample((points[lines] - origins[i]) @ axes[:2].T)
    return layers, known


class _Surroundings:
    """What lies about each sample of profiles (l, t), along their own lines.

    Values count as contrast to it, so that coils which light up the slices differently matter little. Only along the
    line do both slices have the same surroundings: in its plane a slice along a limb has tissue where one across it
    has air, and limbs at rest seemed to have moved.
    """

    def __init__(self, values: np.ndarray, known: np.ndarray, pixel_mm: float) -> None:
        steps = max(1, round(SURROUNDINGS_MM / 2 / pixel_mm))
        self._known = known
        self._window = moving_mean(known.shape[1], 2.0 * steps + 1)
        self._share = np.maximum(known @ self._window.T, 1e-9)
        self._mean, size = self._about(values), self._about(np.abs(values))
        # Of all lines together: a line beside the body stays faint.
        level = float((np.abs(values) * known).sum() / max(known.sum(), 1))
        self._size = size + FAINT * level + 1e-9

    def _about(self, values: np.ndarray) -> np.ndarray:
        mean: np.ndarray = (values * self._known) @ self._window.T / self._share
        return mean

    def flat(self, values: np.ndarray) -> np.ndarray:
        """The contrast (l, t) of the values."""
        contrast: np.ndarray = (values - self._mean) / self._size
        return contrast

    def flat_slope(self, slopes: np.ndarray) -> np.ndarray:
        """Derivatives (l, t, c) of the contrast, from those of the values; the size of the surroundings stays."""
        about = np.stack([self._about(part) for part in np.moveaxis(slopes, -1, 0)], axis=-1)
        derivatives: np.ndarray = (slopes - about) / self._size[..., None]
        return derivatives


def _standardised(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Profiles (l, t) with mean 0 and standard deviation 1 over what is known, and the deviations (l,) before."""
    centred = _centred(values[..., None], known)[..., 0]
    scale = np.sqrt((centred**2).sum(axis=1) / np.maximum(known.sum(axis=1), 1))
    return centred / np.maximum(scale, 1e-9)[:, None], np.maximum(scale, 1e-9)


def _centred(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Values (l, t, c) less their mean over the known samples of the line, 0 where not known."""
    where = known[..., None]
    mean = (values * where).sum(axis=1, keepdims=True) / np.maximum(where.sum(axis=1, keepdims=True), 1)
    centred: np.ndarray = np.where(where, values - mean, 0.0)
    return centred
