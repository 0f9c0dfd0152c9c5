"""Errors of a network on held-out studies, point by point, together with those of its starting model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.geometry.coordinates import PLANES
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy

from ..datasets.reading import subject_of
from ..evaluation.validation import NEAR_MM, peaks_of_batch
from ..reference_heads.brain_extremes import NORMAL_AXIS
from ..simulator.render import SliceBatch
from ..simulator.slice_planes import SliceSettings
from ..slices.augmentation import Augmentation
from ..slices.study_source import StudySource
from ..slices.targets import TargetSettings


@dataclass(frozen=True)
class PointError:
    """In-plane error of one landmark on one slice.

    Attributes:
        study, subject: of the slice.
        slice: number in the study, in the order of its stacks, from 0; plane: of it.
        error_mm: of the network.
        starting_mm: of the model that it started from; None if there is none or it lacks the landmark.
    """

    study: str
    subject: str
    slice: int
    plane: str
    landmark: str
    error_mm: float
    starting_mm: float | None = None


def placed_landmarks(study: LabelledStudy, names: Sequence[str]) -> frozenset[str]:
    """Those of ``names`` that have a position in the study."""
    return frozenset(each.name for each in study.landmarks if each.position_mm is not None) & frozenset(names)


def point_errors(
    network: torch.nn.Module,
    targets: TargetSettings,
    device: torch.device,
    studies: Sequence[LabelledStudy],
    constellation: Constellation,
    starting: LandmarkModel | None = None,
) -> list[PointError]:
    """Errors on every slice as it is, of the landmarks in view and within ``NEAR_MM`` of it.

    Extremes are left out, because their true position across their normal is unknown.

    Args:
        network: on ``device``, its outputs the landmarks of ``constellation``.
        studies: those without a position for any landmark are skipped.
    """
    names, settings = constellation.names, targets.slices
    found = []
    for study in studies:
        if not placed_landmarks(study, names):
            continue
        batch = _slices(study, names, constellation.mirror_indices, settings)
        errors = _errors_mm(network, batch, targets, device, names)
        before = _starting_errors_mm(starting, study, names) if starting else np.full_like(errors, np.nan)
        for number, column in np.argwhere(np.isfinite(errors)):
            start = before[number, column]
            found.append(
                PointError(
                    study.name,
                    subject_of(study),
                    int(number),
                    PLANES[int(batch.planes[number])],
                    names[column],
                    float(errors[number, column]),
                    float(start) if np.isfinite(start) else None,
                )
            )
    return found


def _starting_errors_mm(model: LandmarkModel, study: LabelledStudy, names: Sequence[str]) -> np.ndarray:
    """(slices, k) of a loaded model, in the order of ``names``; NaN where it lacks the landmark."""
    result = np.full((sum(len(stack.slices) for stack in study.stacks), len(names)), np.nan)
    if not placed_landmarks(study, model.names):
        return result
    sizes = model.sigma_mm, model.tau_mm, model.output_stride, model.pixel_mm
    targets = TargetSettings(*sizes, model.sagittal_pairs)
    batch = _slices(study, model.names, model.mirror, targets.slices)
    errors = _errors_mm(model.torch_network, batch, targets, torch.device(model.device), model.names)
    for column, name in enumerate(names):
        if name in model.names:
            result[:, column] = errors[:, model.names.index(name)]
    return result


def _slices(study: LabelledStudy, names: Sequence[str], mirror: np.ndarray, settings: SliceSettings) -> SliceBatch:
    return StudySource([study], names, mirror, settings, Augmentation.none()).all_slices()


def _errors_mm(
    network: torch.nn.Module, batch: SliceBatch, targets: TargetSettings, device: torch.device, names: Sequence[str]
) -> np.ndarray:
    """(slices, k), NaN where nothing is measured."""
    offsets, _, _ = peaks_of_batch(network, batch, targets, device)
    exact = torch.tensor([name not in NORMAL_AXIS for name in names])
    counted = batch.visible & (batch.depths_mm.abs() < NEAR_MM) & exact
    return np.where(counted.numpy(), np.linalg.norm(offsets, axis=-1), np.nan)
