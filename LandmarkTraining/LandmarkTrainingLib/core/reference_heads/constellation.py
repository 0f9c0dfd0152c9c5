"""Measure a reference constellation: the mean shape of labelled heads and their variation.

Pose and size of every head are removed by generalised Procrustes analysis over the heads and
their mirror images, which makes mean and covariance symmetric. Points that a head lacks are
filled with their conditional mean given its other points (expectation maximisation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.constellation import constellation_from_dict, covariance_of_modes
from AutoVolumeCalibrationLib.core.errors import InputError, ProtocolError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json, require_schema
from AutoVolumeCalibrationLib.core.geometry.coordinates import unit

from .brain_extremes import NORMAL_AXIS
from .label_landmarks import hippocampus_ends, read_label_map
from .point_files import read_points

#: Keep the modes that explain this part of the variance, at most so many.
EXPLAINED, MAX_MODES = 0.90, 8

#: Uncertainty of the labels themselves: no point pulls the alignment harder than this allows.
LABEL_SD_MM = 1.5

#: Variation that a few heads do not show: further deviation of each extreme, mm, and of the head's log sizes along the
#: three axes. Measured without four of twenty heads, the shape of these errs by 1.73 times the stated deviation (0.99
#: on the heads that it was measured on); widened by this, 0.93 times (``Testing/benchmarks/fit_variants.py``).
EXTREME_SD_MM, LOG_SIZE_SD = 2.0, 0.03

_MAX_ROUNDS, _TOLERANCE_MM = 200, 1e-4


@dataclass(frozen=True, eq=False)
class MeasuredShape:
    """Mean and variation of n landmarks over a number of heads, in the AC-PC frame of the mean.

    Attributes:
        reference_mm: (n, 3) mean.
        sd_mm: (n, 3) standard deviation among heads, pose and size removed, error of the labels included.
        modes_mm: (m, 3n) strongest principal components, one standard deviation each, landmark-major.
    """

    reference_mm: np.ndarray
    sd_mm: np.ndarray
    modes_mm: np.ndarray


def update_anatomy(anatomy_json: Path, labels_folder: Path) -> None:
    """Replace the numbers of an anatomy file by those of the heads in ``labels_folder``, rounded to 0.01 mm.

    Raises:
        ProtocolError: the anatomy file is damaged.
        InputError: the heads cannot be read, or lack AC, PC or too many points.
        UsageError: the file cannot be written.
    """
    remedy = "Correct the anatomy file."
    data = read_json(anatomy_json, ProtocolError, remedy)
    require_schema(data, "anatomy", anatomy_json, ProtocolError, remedy)
    constellation = constellation_from_dict(data, anatomy_json)
    names = constellation.names
    shape = widened(measure_shape(read_heads(labels_folder), names, constellation.mirror_indices), names)
    for entry, reference, sd in zip(data["landmarks"], shape.reference_mm, shape.sd_mm, strict=True):
        entry["reference_mm"], entry["sd_mm"] = _rounded(reference), _rounded(sd)
    data["modes_mm"] = [_rounded(mode.reshape(-1, 3)) for mode in shape.modes_mm]
    write_text(anatomy_json, json_text(data))


def read_heads(labels_folder: Path) -> list[dict[str, np.ndarray]]:
    """Name -> (3,) RAS of every head: ``head_NN.csv`` and the hippocampi of ``head_NN.nii.gz`` beside it."""
    tables = sorted(Path(labels_folder).glob("head_*.csv"))
    if not tables:
        raise InputError("has no head_NN.csv", source=str(labels_folder), remedy="Choose the folder of the label maps.")
    heads = []
    for table in tables:
        points = read_points(table)
        if not {"AC", "PC"} <= points.keys():
            raise InputError("lacks AC or PC", source=str(table), remedy="Label it or leave it out.")
        points.update(hippocampus_ends(read_label_map(table.with_suffix(".nii.gz")), points["AC"] - points["PC"]))
        heads.append(points)
    return heads


def measure_shape(
    heads: Sequence[Mapping[str, np.ndarray]], names: Sequence[str], mirror: Sequence[int] | np.ndarray
) -> MeasuredShape:
    """Mean shape and variation of the named points.

    Args:
        heads: name -> (3,) RAS mm, at least three; a head may lack points, not AC and PC.
        names: n landmarks, AC and PC among them.
        mirror: (n,) index of the partner on the other side, its own index on the midline.

    Raises:
        InputError: too few heads, a head lacks AC, PC or half of its points, a landmark is in fewer
            than three heads, or the mean does not converge.
    """
    mirror = np.asarray(mirror)
    shapes = _own_frames(_stacked(heads, names), names, mirror)
    shapes = np.concatenate([shapes, _mirrored(shapes, mirror)])
    missing = np.isnan(shapes)
    mean = np.nanmean(shapes, axis=0)
    covariance = np.diag(np.full(mean.size, 9.0))
    size = np.sqrt(((mean - mean.mean(axis=0)) ** 2).sum())
    for _ in range(_MAX_ROUNDS):
        weights = 1.0 / (np.diag(covariance).reshape(-1, 3).mean(axis=1) + LABEL_SD_MM**2)
        shapes = np.array([_aligned(shape, mean, weights) for shape in shapes])
        shapes, uncertainty = _filled(shapes, missing, mean, covariance)
        new_mean = _sized(shapes.mean(axis=0), size)
        new_mean = _own_frames(((new_mean + _mirrored(new_mean, mirror)) / 2)[None], names, mirror)[0]
        shapes = np.array([_aligned(shape, new_mean, weights) for shape in shapes])
        covariance = _covariance(shapes, new_mean, uncertainty, len(heads))
        moved, mean = np.abs(new_mean - mean).max(), new_mean
        shapes[missing] = np.nan
        if moved < _TOLERANCE_MM:
            break
    else:
        raise InputError("the mean of the heads does not converge", remedy="Check the heads for wrong labels.")
    return MeasuredShape(mean, np.sqrt(np.diag(covariance)).reshape(-1, 3), _modes(covariance))


def widened(shape: MeasuredShape, names: Sequence[str]) -> MeasuredShape:
    """The shape with the further variation of unmeasured heads: EXTREME_SD_MM and LOG_SIZE_SD.

    The part that the three sizes have in common is left out: it is the size of the head, which every fit estimates.
    """
    own_sizes = LOG_SIZE_SD * (np.eye(3) - 1 / 3)
    stretches = np.array([(shape.reference_mm * axis).ravel() for axis in own_sizes])
    own = np.array([EXTREME_SD_MM if name in NORMAL_AXIS else 0.0 for name in names])[:, None]
    sd = np.sqrt(shape.sd_mm**2 + own**2 + (stretches**2).sum(axis=0).reshape(-1, 3))
    return MeasuredShape(shape.reference_mm, sd, np.vstack([shape.modes_mm, stretches]))


def _stacked(heads: Sequence[Mapping[str, np.ndarray]], names: Sequence[str]) -> np.ndarray:
    """(heads, n, 3), NaN where a head lacks the point."""
    absent = np.full(3, np.nan)
    shapes = np.array([[head.get(name, absent) for name in names] for head in heads], dtype=float)
    labelled = ~np.isnan(shapes[..., 0])
    if len(heads) < 3:
        raise InputError(f"{len(heads)} heads are too few to measure their variation", remedy="Give at least three.")
    for number, head in enumerate(labelled, start=1):
        if not (head[list(names).index("AC")] and head[list(names).index("PC")] and head.mean() > 0.5):
            raise InputError(f"head {number} lacks AC, PC or half of the points", remedy="Label it or leave it out.")
    rare = [name for name, count in zip(names, labelled.sum(axis=0), strict=True) if count < 3]
    if rare:
        raise InputError(
            f"{', '.join(rare)} in fewer than three heads", remedy="Label more heads or drop the landmark."
        )
    return shapes


def _own_frames(shapes: np.ndarray, names: Sequence[str], mirror: np.ndarray) -> np.ndarray:
    """Every shape (h, n, 3) in its AC-PC frame: origin AC, PC behind it, right from the left/right pairs."""
    names = list(names)
    right_hand = _right_hand(names, mirror)
    framed = []
    for shape in shapes:
        anterior = unit(shape[names.index("AC")] - shape[names.index("PC")])
        right = np.nanmean(shape[right_hand] - shape[mirror[right_hand]], axis=0)
        right = unit(right - (right @ anterior) * anterior)
        axes = np.array([right, anterior, np.cross(right, anterior)])
        framed.append((shape - shape[names.index("AC")]) @ axes.T)
    return np.array(framed)


def _right_hand(names: Sequence[str], mirror: np.ndarray) -> np.ndarray:
    """Indices of the landmarks on the right: R... of an AFIDs pair, ..._R of the others."""
    return np.array(
        [
            i
            for i, name in enumerate(names)
            if mirror[i] != i and (name.endswith("_R") or (name[0] == "R" and "_" not in name))
        ]
    )


def _mirrored(shapes: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    return shapes[..., mirror, :] * np.array([-1.0, 1.0, 1.0])


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
    model = covariance_of_modes(_modes(covariance), np.diag(covariance))
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


def _modes(covariance: np.ndarray) -> np.ndarray:
    """(m, 3n) strongest principal components, one standard deviation each, largest entry positive."""
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    enough = 1 + int(np.searchsorted(np.cumsum(values) / values.sum(), EXPLAINED))
    modes = (vectors[:, : min(enough, MAX_MODES)] * np.sqrt(values[: min(enough, MAX_MODES)])).T
    largest = np.take_along_axis(modes, np.abs(modes).argmax(axis=1)[:, None], axis=1)
    return modes * np.sign(largest)


def _rounded(values: np.ndarray) -> list:
    return (np.round(values, 2) + 0.0).tolist()  # + 0.0 turns -0.0 into 0.0
