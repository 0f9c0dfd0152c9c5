"""Calibrate on whole studies: the accuracy of depth from peak heights, and the error that all landmarks share.

Studies are simulated from heads the network did not learn from, with 1, 3 and 5 slices per plane in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.detection.detector import StackDetections, detect
from AutoVolumeCalibrationLib.core.detection.fusion import depth_in_stack
from AutoVolumeCalibrationLib.core.detection.peak_uncertainty import PeakUncertainty
from AutoVolumeCalibrationLib.core.detection.sagittal_pairs import MIDDLE
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.planning.frame import (
    AnatomicalFrame,
    fit_frame,
    pose_difference,
    rotation_variances,
)
from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy
from AutoVolumeCalibrationLib.core.workflow.localization import locate

from ..datasets.file_pairs import points_in
from ..reference_heads.truth import true_frame
from ..simulator.label_heads import LabelHeads
from ..simulator.pose import PoseLimits
from ..simulator.slice_planes import SliceSettings
from ..simulator.study_rendering import simulated_study

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel

GEOMETRIES = (ScoutGeometry(5, 12.0, 6.0), ScoutGeometry(3, 15.0, 6.0), ScoutGeometry(1, 0.0, 6.0))

#: Range of poses: that of patients, smaller than in training.
LIMITS = PoseLimits(rotation_deg=15.0, shift_mm=20.0)


def limits_of(heads: LabelHeads, limits: PoseLimits = LIMITS) -> PoseLimits:
    """Poses of studies on which plans are measured: without deformation where a scene describes the label maps.

    Those are shapes of people already, and of small anatomies: a deformation of training turns the line through two
    condyles by degrees, which no pair of people differs by.
    """
    return limits if heads.scene is None else limits.undeformed


#: A pose error further than this many times the median is a failure that the checks must detect, not a typical error.
LARGEST_ERROR = 4.0

#: Fewer pose errors do not determine a covariance.
FEWEST_STUDIES = 10


@dataclass(frozen=True, eq=False)
class _Study:
    """A simulated study, the network's detections, and the frame of its true landmarks."""

    study: LabelledStudy
    detections: list[StackDetections]
    truth: AnatomicalFrame


def calibrate_on_studies(
    model: LandmarkModel, heads: LabelHeads, protocol: Protocol, *, studies: int = 120, seed: int = 777
) -> PeakUncertainty:
    """The model's uncertainty with ``through_plane_mm`` and ``pose_covariance`` measured."""
    cases = list(_studies(model, heads, protocol, studies, seed))
    measured = replace(model.uncertainty, through_plane_mm=_depth_sd(model, cases), pose_covariance=None)
    return replace(measured, pose_covariance=_pose_covariance(replace(model, uncertainty=measured), protocol, cases))


def _studies(model: LandmarkModel, heads: LabelHeads, protocol: Protocol, count: int, seed: int) -> Iterator[_Study]:
    settings = SliceSettings(limits=limits_of(heads))
    for number in range(count):
        geometry = GEOMETRIES[number % len(GEOMETRIES)]
        study = simulated_study(heads, protocol.constellation, geometry, (seed, number), settings)
        yield _Study(study, detect(study.stacks, model), true_frame(study.landmarks, protocol))


def _depth_sd(model: LandmarkModel, cases: list[_Study]) -> float:
    """Root mean square error of the position along the normal where a stack has slices on both sides, mm."""
    errors = []
    for case in cases:
        positions = points_in(case.study.landmarks)
        for stack in case.detections:
            for k, name in enumerate(model.names):
                if name not in positions or stack.peak_values[:, k].max() < model.threshold:
                    continue
                true = positions[name]
                if stack.sagittal and model.mirror[k] != k:
                    if stack.sagittal_pairs != MIDDLE:  # the peak values of a stack have two tops, one for each
                        continue
                    true = (true + positions[model.names[model.mirror[k]]]) / 2
                depth, open_sided = depth_in_stack(stack.positions_mm, stack.peak_values[:, k], model.tau_mm)
                if not open_sided:
                    errors.append(depth - true @ stack.axes[2])
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else model.uncertainty.through_plane_mm


def _pose_covariance(model: LandmarkModel, protocol: Protocol, cases: list[_Study]) -> np.ndarray | None:
    """(7, 7) second moments of the pose errors beyond what independent landmark errors explain.

    None where a model, hardly trained, finds the head in fewer than ``FEWEST_STUDIES``.

    Of a joint they are those of the part that carries the others (``pose_difference``).
    Left and right are alike, so moments between a mirrored and an unmirrored coordinate are set to zero.
    """
    differences, explained = [], []
    for case in cases:
        try:
            frame = fit_frame(locate(case.study.stacks, protocol, model).landmarks, protocol)
        except InputError:
            continue
        differences.append(pose_difference(protocol, frame, case.truth))
        explained.append(rotation_variances(protocol, frame))
    if len(differences) < FEWEST_STUDIES:
        return None
    errors = np.array(differences)
    size = np.linalg.norm(errors[:, :3], axis=1)
    usual = errors[size < LARGEST_ERROR * np.median(size)]
    moments = usual.T @ usual / len(usual)
    # Roll, yaw and the shift to the side change sign in a mirror; pitch, size and the other shifts do not.
    odd = np.array([False, True, True, False, True, False, False])
    moments[np.not_equal.outer(odd, odd)] = 0
    moments[:3, :3] -= np.diag(np.mean(explained, axis=0))
    return _positive(moments)


def _positive(matrix: np.ndarray) -> np.ndarray:
    """The nearest symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    fixed = (vectors * np.maximum(values, 0)) @ vectors.T
    return (fixed + fixed.T) / 2
