"""What the points of many people say: mean places, how people differ, how symmetric they are, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.planning.fit.body import body_of
from AutoVolumeCalibrationLib.core.planning.fit.pose import Pose
from AutoVolumeCalibrationLib.core.planning.fit.robust_fit import robust_fit

from .mean_shape import AlignedShapes, align_shapes, mirrored
from .point_sets import PointSet
from .shape_frame import ShapeFrame, framed

#: Stands for "no error": of points whose own error is part of how people differ.
EXACT_MM = 0.01

#: A landmark without a partner on the other side lies no farther from the midline of the mean than this.
MIDLINE_MM = 5.0


@dataclass(frozen=True, eq=False)
class PeopleShape:
    """The shape of n landmarks over a number of people, with standard errors.

    Attributes:
        names, mirror: n landmarks and the indices of their partners on the other side.
        aligned: the people's shapes on their mean.
        people: how many there are.
        counts: (n,) in how many of them each landmark was placed.
        mean_se_mm, sd_se_mm: (n, 3) standard errors of ``aligned.mean_mm``, in its frame, and of ``aligned.sd_mm``.
        asymmetry_mm: (n, 3) how far the people's own mean lies from the symmetric one; zero for one-sided anatomy.
        asymmetry_se_mm: (n, 3) its standard error.
    """

    names: tuple[str, ...]
    mirror: np.ndarray
    aligned: AlignedShapes
    people: int
    counts: np.ndarray
    mean_se_mm: np.ndarray
    sd_se_mm: np.ndarray
    asymmetry_mm: np.ndarray
    asymmetry_se_mm: np.ndarray

    @property
    def covariance_se_mm2(self) -> np.ndarray:
        """(3n, 3n) standard error of ``aligned.covariance_mm2``: that of a normal distribution's sample."""
        covariance = self.aligned.covariance_mm2
        variances = np.diag(covariance)
        errors: np.ndarray = np.sqrt((covariance**2 + np.outer(variances, variances)) / (self.people - 1))
        return errors

    def to_dict(self) -> dict[str, Any]:
        """The measurement as JSON: mm in the frame (right, anterior, superior), covariances landmark-major."""
        columns = {
            "mean_mm": self.aligned.mean_mm,
            "mean_se_mm": self.mean_se_mm,
            "sd_mm": self.aligned.sd_mm,
            "sd_se_mm": self.sd_se_mm,
            "asymmetry_mm": self.asymmetry_mm,
            "asymmetry_se_mm": self.asymmetry_se_mm,
        }
        landmarks = [
            {"name": name, "people": int(self.counts[i]), "mirror": self._partner(i)}
            | {key: _plain(values[i]) for key, values in columns.items()}
            for i, name in enumerate(self.names)
        ]
        return {
            "people": self.people,
            "landmarks": landmarks,
            "covariance_mm2": _plain(self.aligned.covariance_mm2),
            "covariance_se_mm2": _plain(self.covariance_se_mm2),
        }

    def _partner(self, index: int) -> str | None:
        partner = int(self.mirror[index])
        return None if partner == index else self.names[partner]


def measure_people(
    sets: Sequence[PointSet],
    names: Sequence[str],
    mirror: np.ndarray,
    frame: ShapeFrame,
    onto: Constellation | None = None,
) -> PeopleShape:
    """Mean, variation and symmetry of the named points; arguments and errors as of ``align_shapes``.

    Standard errors treat people as independent, and the shape of a person as one observation: both sides together.

    Args:
        onto: the anatomy on whose places the mean comes to lie, for a frame without a line.

    Raises:
        InputError: a landmark beside the midline has no partner among symmetric ones.
    """
    mirror = np.asarray(mirror)
    aligned = align_shapes([each.points for each in sets], names, mirror, frame)
    if onto is not None and frame.line is None:
        aligned = _laid_onto(aligned, onto, names)
    own = aligned.shapes_mm
    counts = (~np.isnan(own[..., 0])).sum(axis=0)
    paired = bool((mirror != np.arange(len(mirror))).any())
    images = mirrored(own, mirror) if paired else own
    # A landmark whose partner is missing speaks for both sides.
    both = np.where(np.isnan(own), images, np.where(np.isnan(images), own, (own + images) / 2))
    half = (own - images) / 2
    if paired:
        _require_partners(names, mirror, _mean(half))
    return PeopleShape(
        tuple(names),
        mirror,
        aligned,
        len(sets),
        counts,
        _errors_in_frame(both, names, mirror, frame),
        aligned.sd_mm / np.sqrt(2 * (counts[:, None] - 1)),
        _mean(half),
        _standard_error(half),
    )


def pose_on(constellation: Constellation, names: Sequence[str], places_mm: np.ndarray) -> Pose:
    """The pose and size that lay the anatomy's landmarks of these names onto ``places_mm`` (n, 3)."""
    chosen = np.array([constellation.names.index(name) for name in names])
    errors = np.repeat(np.eye(3)[None] * EXACT_MM**2, len(chosen), axis=0)
    predicted = np.repeat(np.eye(3)[None], len(chosen), axis=0)
    return robust_fit(places_mm, errors, predicted, body_of(constellation).subset(chosen), None).pose


def _laid_onto(aligned: AlignedShapes, constellation: Constellation, names: Sequence[str]) -> AlignedShapes:
    """The shapes turned and moved onto the places of an anatomy; their size stays."""
    pose = pose_on(constellation, names, aligned.mean_mm)
    back = np.kron(np.eye(len(names)), pose.rotation.T)
    return replace(
        aligned,
        mean_mm=(aligned.mean_mm - pose.translation) @ pose.rotation,
        shapes_mm=(aligned.shapes_mm - pose.translation) @ pose.rotation,
        covariance_mm2=back @ aligned.covariance_mm2 @ back.T,
    )


def _require_partners(names: Sequence[str], mirror: np.ndarray, asymmetry_mm: np.ndarray) -> None:
    """Mirror images would pull a landmark of one side onto the midline."""
    for i, name in enumerate(names):
        beside = abs(asymmetry_mm[i, 0])
        if mirror[i] == i and beside > MIDLINE_MM:
            raise InputError(
                f"{name} lies {beside:.0f} mm beside the midline, and its partner on the other side was not placed",
                remedy="Place and name both sides (RX and LX, or X_R and X_L), or leave it out.",
            )


def _errors_in_frame(both: np.ndarray, names: Sequence[str], mirror: np.ndarray, frame: ShapeFrame) -> np.ndarray:
    """(n, 3) standard error of the mean of shapes (h, n, 3) in its own frame: jackknife over people.

    Other people would move the landmarks that the axes rest on, and with them the places of all others.
    """
    people = len(both)
    means = np.array([framed(_mean(np.delete(both, i, axis=0)), names, mirror, frame) for i in range(people)])
    errors: np.ndarray = np.sqrt((people - 1) * ((means - means.mean(axis=0)) ** 2).mean(axis=0))
    return errors


def _mean(values: np.ndarray) -> np.ndarray:
    """(n, 3) over the people (h, n, 3) that have the landmark; NaN where none has."""
    count = (~np.isnan(values)).sum(axis=0)
    return np.divide(np.nansum(values, axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)


def _standard_error(values: np.ndarray) -> np.ndarray:
    """(n, 3) of the mean over people (h, n, 3); NaN where fewer than two have the landmark."""
    count = (~np.isnan(values)).sum(axis=0)
    squares = np.nansum((values - _mean(values)) ** 2, axis=0)
    few = count < 2
    variance = np.divide(squares, (count - 1) * count, out=np.full(count.shape, np.nan), where=~few)
    errors: np.ndarray = np.sqrt(variance)
    return errors


def _plain(values: np.ndarray) -> list:
    """Rounded numbers for JSON, null where one is not known."""
    numbers = np.round(values, 3) + 0.0  # + 0.0 turns -0.0 into 0.0
    known = numbers.astype(object)
    known[np.isnan(numbers)] = None
    plain: list = known.tolist()
    return plain
