"""Mean and variation of shapes, pose and size removed: generalised Procrustes analysis.

Mirror images of all shapes take part where landmarks have partners on the other side, which makes mean and covariance
symmetric. Points that a shape lacks are filled with their conditional mean given its other points (expectation
maximisation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.constellation import covariance_of_modes
from AutoVolumeCalibrationLib.core.errors import InputError

from .shape_frame import AC_PC, ShapeFrame, framed

#: Keep the modes that explain this part of the variance, at most so many.
EXPLAINED, MAX_MODES = 0.90, 8

#: Uncertainty of the labels themselves: no point pulls the alignment harder than this allows.
LABEL_SD_MM = 1.5

#: Fewer shapes do not show how they vary.
FEWEST_SHAPES = 3

_MAX_ROUNDS, _TOLERANCE_MM = 200, 1e-4


@dataclass(frozen=True, eq=False)
class MeasuredShape:
    """Mean and variation of n landmarks over a number of heads, in the frame of the mean.

    Attributes:
        reference_mm: (n, 3) mean.
        sd_mm: (n, 3) standard deviation among heads, pose and size removed, error of the labels included.
        modes_mm: (m, 3n) strongest principal components, one standard deviation each, landmark-major.
    """

    reference_mm: np.ndarray
    sd_mm: np.ndarray
    modes_mm: np.ndarray


@dataclass(frozen=True, eq=False)
class AlignedShapes:
    """h shapes laid onto their mean.

    Attributes:
        mean_mm: (n, 3) in its frame.
        shapes_mm: (h, n, 3) the shapes at its pose and size, without mirror images; NaN where one lacks the point.
        covariance_mm2: (3n, 3n) among the shapes, landmark-major, uncertainty of filled gaps included.
    """

    mean_mm: np.ndarray
    shapes_mm: np.ndarray
    covariance_mm2: np.ndarray

    @property
    def sd_mm(self) -> np.ndarray:
        """(n, 3) standard deviation among the shapes."""
        return np.sqrt(np.diag(self.covariance_mm2)).reshape(-1, 3)


def measure_shape(
    heads: Sequence[Mapping[str, np.ndarray]],
    names: Sequence[str],
    mirror: Sequence[int] | np.ndarray,
    frame: ShapeFrame = AC_PC,
) -> MeasuredShape:
    """Mean shape and variation of the named points; arguments and errors as of ``align_shapes``."""
    aligned = align_shapes(heads, names, mirror, frame)
    return MeasuredShape(aligned.mean_mm, aligned.sd_mm, principal_modes(aligned.covariance_mm2))


def align_shapes(
    heads: Sequence[Mapping[str, np.ndarray]],
    names: Sequence[str],
    mirror: Sequence[int] | np.ndarray,
    frame: ShapeFrame = AC_PC,
) -> AlignedShapes:
    """The heads laid onto their mean shape.

    Args:
        heads: name -> (3,) RAS mm, at least FEWEST_SHAPES; a head may lack points, not those that ``frame`` names.
        names: n landmarks.
        mirror: (n,) index of the partner on the other side, its own index on the midline. Without any partner shapes
            count as one-sided: no mirror images take part.
        frame: how the mean lies.

    Raises:
        InputError: too few heads, a head lacks a point of the frame or half of its points, a landmark is in fewer than
            three heads, no name says which side is right, or the mean does not converge.
    """
    mirror = np.asarray(mirror)
    paired = bool((mirror != np.arange(len(mirror))).any())
    stacked = _stacked(heads, names, frame)
    shapes = np.array([framed(shape, names, mirror, frame) for shape in stacked])
    shapes = np.concatenate([shapes, mirrored(shapes, mirror)]) if paired else shapes
    missing = np.isnan(shapes)
    mean = np.nanmean(shapes, axis=0)
    covariance = np.diag(np.full(mean.size, 9.0))
    size = np.sqrt(((mean - mean.mean(axis=0)) ** 2).sum())
    for _ in range(_MAX_ROUNDS):
        weights = 1.0 / (np.diag(covariance).reshape(-1, 3).mean(axis=1) + LABEL_SD_MM**2)
        shapes = np.array([_aligned(shape, mean, weights) for shape in shapes])
        shapes, uncertainty = _filled(shapes, missing, mean, covariance)
        new_mean = _sized(shapes.mean(axis=0), size)
        if paired:
            new_mean = (new_mean + mirrored(new_mean, mirror)) / 2
        new_mean = framed(new_mean, names, mirror, frame)
        shapes = np.array([_aligned(shape, new_mean, weights) for shape in shapes])
        covariance = _covariance(shapes, new_mean, uncertainty, len(heads))
        moved, mean = np.abs(new_mean - mean).max(), new_mean
        shapes[missing] = np.nan
        if moved < _TOLERANCE_MM:
            break
    else:
        raise InputError("the mean of the heads does not converge", remedy="Check the heads for wrong labels.")
    return AlignedShapes(mean, shapes[: len(heads)], covariance)


def mirrored(shapes: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Mirror images of shapes (..., n, 3), every point under the name of its partner."""
    images: np.ndarray = shapes[..., mirror, :] * np.array([-1.0, 1.0, 1.0])
    return images


def principal_modes(covariance: np.ndarray) -> np.ndarray:
    """(m, 3n) strongest principal components, one standard deviation each, largest entry positive."""
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    enough = 1 + int(np.searchsorted(np.cumsum(values) / values.sum(), EXPLAINED))
    modes = (vectors[:, : min(enough, MAX_MODES)] * np.sqrt(values[: min(enough, MAX_MODES)])).T
    largest = np.take_along_axis(modes, np.abs(modes).argmax(axis=1)[:, None], axis=1)
    return modes * np.sign(largest)


def _stacked(heads: Sequence[Mapping[str, np.ndarray]], names: Sequence[str], frame: ShapeFrame) -> np.ndarray:
    """(heads, n, 3), NaN where a head lacks the point."""
    absent = np.full(3, np.nan)
    if len(heads) < FEWEST_SHAPES:
        raise InputError(f"{len(heads)} heads are too few to measure their variation", remedy="Give at least three.")
    shapes = np.array([[head.get(name, absent) for name in names] for head in heads], dtype=float)
    labelled = ~np.isnan(shapes[..., 0])
    needed = [list(names).index(name) for name in frame.landmarks]
    for number, head in enumerate(labelled, start=1):
        if not (head[needed].all() and head.mean() > 0.5):
            lacking = " or ".join(", ".join([*frame.landmarks, "half of the points"]).rsplit(", ", 1))
            raise InputError(f"head {number} lacks {lacking}", remedy="Label it or leave it out.")
    rare = [name for name, count in zip(names, labelled.sum(axis=0), strict=True) if count < FEWEST_SHAPES]
    if rare:
        raise InputError(
            f"{', '.join(rare)} in fewer than three heads", remedy="Label more heads or drop the landmark."
        )
    return shapes


def _aligned(shape: np.ndarray, mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``shape`` (n, 3) moved, rotated and scaled onto ``mean`` by its known points (weighted least squares)."""
    known = ~np.isnan(shape[:, 0])
    weight = weights[known] / weights[known].sum()
    center, target = weight @ shape[known], weight @ mean[known]
    points, goal = shape[known] - center, mean[known] - target
    u, spread, vt = np.linalg.svd((goal * weight[:, None]).T @ points)
    spread[-1] *= np.sign(np.linalg.det(u @ vt))
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    scale = spread.sum() / (weight @ (points**2).sum(axis=1))
    return scale * (shape - center) @ (u @ vt).T + target


def _sized(shape: np.ndarray, size: float) -> np.ndarray:
    """Rescale to the mean head's size: alignment with scale shrinks the mean a little every round."""
    return shape * size / np.sqrt(((shape - shape.mean(axis=0)) ** 2).sum())


def _filled(
    shapes: np.ndarray, missing: np.ndarray, mean: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shapes with every gap at its conditional mean, and the mean (3n, 3n) conditional covariance of the gaps."""
    model = covariance_of_modes(principal_modes(covariance), np.diag(covariance))
    filled, uncertainty = shapes.copy(), np.zeros_like(model)
    for shape, gaps in zip(filled, missing.reshape(len(shapes), -1), strict=True):
        if gaps.any():
            gain = np.linalg.solve(model[np.ix_(~gaps, ~gaps)], model[np.ix_(~gaps, gaps)]).T
            flat, center = shape.ravel(), mean.ravel()
            flat[gaps] = center[gaps] + gain @ (flat[~gaps] - center[~gaps])
            shape[:] = flat.reshape(-1, 3)
            uncertainty[np.ix_(gaps, gaps)] += model[np.ix_(gaps, gaps)] - gain @ model[np.ix_(~gaps, gaps)]
    return filled, uncertainty / len(shapes)


def _covariance(shapes: np.ndarray, mean: np.ndarray, uncertainty: np.ndarray, heads: int) -> np.ndarray:
    """(3n, 3n) unbiased for the number of heads: mirror images do not count as further heads."""
    residuals = (shapes - mean).reshape(len(shapes), -1)
    return (residuals.T @ residuals / len(shapes) + uncertainty) * heads / (heads - 1)
