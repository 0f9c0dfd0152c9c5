"""Errors of a planned case, and where an extreme is lost on its way from the slice to the face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.landmark import MISSING, PREDICTED, Landmark
from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.detection.fusion import HEIGHT_POWER
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANE_NORMAL_AXIS, rotation_angles_deg
from AutoVolumeCalibrationLib.core.geometry.oriented_box import FACES, OrientedBox
from AutoVolumeCalibrationLib.core.planning.box import plan_box
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from LandmarkTrainingLib.core.evaluation.metrics import face_errors_mm
from LandmarkTrainingLib.core.reference_heads.brain_extremes import EXTREMES, NORMAL_AXIS
from LandmarkTrainingLib.core.reference_heads.truth import true_frame

from .cases import Case
from .variants import Planned, smooth_rule

#: Measures that are lengths or angles without a sign, in the order of the tables. The first three are medians over a
#: case's landmarks (extremes left out), ``faces`` the mean of the six, ``faces / sd`` their root mean square over
#: the stated deviations.
SIZES = ("in plane", "in space", "after fit", "pitch", "roll", "yaw", "centre", "faces", "faces / sd")


@dataclass(frozen=True, eq=False)
class Truth:
    """Frame and box from the true landmarks, and the frame from those alone that are no extremes."""

    frame: AnatomicalFrame
    box: OrientedBox
    inner: AnatomicalFrame


def truth_of(case: Case, protocol: Protocol, model: LandmarkModel) -> Truth:
    """Planned from the true places by the present way."""
    known = [
        Landmark(name, place, covariance, 1.0, PREDICTED)
        for name, place, covariance in zip(model.names, case.places_mm, case.covariances_mm2, strict=True)
        if np.isfinite(place).all()
    ]
    frame = true_frame(known, protocol)
    inner = true_frame([mark for mark in known if mark.name not in NORMAL_AXIS], protocol)
    return Truth(frame, plan_box(frame, protocol, smooth_rule(protocol)), inner)


def errors_of(case: Case, planned: Planned, truth: Truth, model: LandmarkModel) -> dict[str, float]:
    """SIZES, and the signed faces by name; NaN where the truth is not known."""
    inner = np.array([name not in NORMAL_AXIS for name in model.names])
    seen = np.array([mark.position_mm if mark.status != MISSING else np.full(3, np.nan) for mark in planned.landmarks])
    expected = np.array([planned.frame.expected_mm.get(name, np.full(3, np.nan)) for name in model.names])
    angles = np.abs(rotation_angles_deg(truth.frame.axes, planned.frame.axes))
    # Without the extremes nobody knows the true faces.
    faces = face_errors_mm(planned.box, truth.box) if case.brain_known else np.full(6, np.nan)
    stated = np.array([planned.box.face_sd_mm[face] for face in FACES])
    centre = float(np.linalg.norm(planned.box.center_mm - truth.box.center_mm)) if case.brain_known else np.nan
    sizes = (
        np.median([e.error_mm for e in slice_errors(case, planned, model)] or [np.nan]),
        *(np.nanmedian(np.linalg.norm(places - case.places_mm, axis=1)[inner]) for places in (seen, expected)),
        *angles,
        centre,
        np.abs(faces).mean(),
        np.sqrt(np.mean((faces / stated) ** 2)),
    )
    return dict(zip((*SIZES, *FACES), map(float, (*sizes, *faces)), strict=True))


@dataclass(frozen=True)
class SliceError:
    """Distance of a peak from the truth in its slice, and over its stated deviation (root mean square per axis)."""

    plane: str
    name: str
    error_mm: float
    deviations: float


def slice_errors(case: Case, planned: Planned, model: LandmarkModel) -> Iterator[SliceError]:
    """Of every landmark on every slice near it where it was found; extremes are left out."""
    for stack, near in zip(planned.detections, case.near, strict=True):
        places = _seen_places(case, stack.sagittal, model) @ stack.axes[:2].T
        for s, k in np.argwhere(near & (stack.peak_values >= model.threshold)):
            if model.names[k] in NORMAL_AXIS:
                continue
            offset = stack.points_mm[s, k] - places[k]
            scaled = float(np.sqrt(np.mean((offset / stack.sd_mm[s, k]) ** 2)))
            yield SliceError(stack.plane, model.names[k], float(np.linalg.norm(offset)), scaled)


def _seen_places(case: Case, sagittal: bool, model: LandmarkModel) -> np.ndarray:
    """(k, 3) true places as the slices of a plane show them: on sagittal ones the middle of a pair."""
    return (case.places_mm + case.places_mm[model.mirror]) / 2 if sagittal else case.places_mm


def outward_errors(
    case: Case, planned: Planned, truth: Truth, model: LandmarkModel
) -> Iterator[tuple[str, str, float, float]]:
    """(extreme, stage, error outwards in mm, how far the true extreme lies beyond where the inner landmarks tell).

    Stages: the peak in the best slice and the mean of the slices, in the planes of those stacks that show the extreme's
    direction; fused; fitted; "truth" is the place that the fit gives to the true landmarks.
    """
    for extreme in EXTREMES:
        k = model.names.index(extreme.name)
        place = case.places_mm[k]
        if not np.isfinite(place).all():
            continue
        outward = extreme.sign * truth.frame.axes[extreme.axis]
        beyond = float((place - truth.inner.expected_mm[extreme.name]) @ outward)
        for stack in planned.detections:
            peak_values = np.where(stack.peak_values[:, k] >= model.threshold, stack.peak_values[:, k], 0)
            if PLANE_NORMAL_AXIS[stack.plane] == extreme.axis or not peak_values.any():
                continue
            offsets = stack.points_mm[:, k] - _seen_places(case, stack.sagittal, model)[k] @ stack.axes[:2].T
            errors = offsets @ stack.axes[:2] @ outward
            yield extreme.name, "best slice", float(errors[np.argmax(peak_values)]), beyond
            yield extreme.name, "mean of slices", float(np.average(errors, weights=peak_values**HEIGHT_POWER)), beyond
        if planned.landmarks[k].status != MISSING:
            yield extreme.name, "fused", float((planned.landmarks[k].position_mm - place) @ outward), beyond
        for stage, frame in (("fitted", planned.frame), ("truth", truth.frame)):
            yield extreme.name, stage, float((frame.expected_mm[extreme.name] - place) @ outward), beyond
