"""The exams of a data set, with the frames of their heads: from the user's landmarks, else the model's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from AutoVolumeCalibrationLib.core.anatomy.protocol import Protocol
from AutoVolumeCalibrationLib.core.errors import InputError
from AutoVolumeCalibrationLib.core.planning.checks.check import ERROR
from AutoVolumeCalibrationLib.core.planning.frame import AnatomicalFrame
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy, study_names

from ...reference_heads.truth import true_frame
from ..building import Skipped
from ..reading import read_study
from .exams import PlannedExam, planned_exam

if TYPE_CHECKING:
    from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel


def planned_exams(
    folder: Path, protocol: Protocol, load: Callable[[], LandmarkModel]
) -> Iterator[PlannedExam | Skipped]:
    """Every study of a data set that was built from an archive, one after the other.

    Args:
        load: gives the model for studies without landmarks, called at most once.

    Raises:
        InputError: the folder holds no data set.
        ModelError: the model cannot be loaded, or knows none of the protocol's landmarks.
    """
    model = None
    for name in study_names(folder):
        try:
            study = read_study(folder, name, predictions=True)
            if not study.landmarks:
                model = model or load()
            yield planned_exam(study, _frame(study, protocol, model))
        except InputError as error:
            yield Skipped(name, error.what)


def _frame(study: LabelledStudy, protocol: Protocol, model: LandmarkModel | None) -> AnatomicalFrame:
    if study.landmarks or model is None:
        return true_frame(study.landmarks, protocol)
    return detected_frame(study, protocol, model)


def detected_frame(study: LabelledStudy, protocol: Protocol, model: LandmarkModel) -> AnatomicalFrame:
    """The frame as a plan of these scouts has it, so that what the model gets wrong in every head cancels.

    Raises:
        InputError: too few landmarks are found, or the plan has errors: its habit would be a guess.
    """
    from AutoVolumeCalibrationLib.core.models.anatomies import with_anatomy_checked
    from AutoVolumeCalibrationLib.core.workflow.pipeline import calibrate

    plan = with_anatomy_checked(calibrate(study.stacks, protocol, model), model, device=model.device)
    errors = [check.message for check in plan.checks if check.level == ERROR]
    if errors:
        raise InputError(f"its plan by landmarks is not reliable: {errors[0]}")
    return plan.frame
