"""Detection as a background job: the long part of a plan, which needs neither the scene nor widgets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.anatomy.landmark import Landmark
from ..core.anatomy.protocol import Protocol
from ..core.errors import ModelError
from ..core.scouts.stack import ScoutStack
from ..core.workflow.calibration import Calibration
from .shared.background_job import IsCancelled, Progress

if TYPE_CHECKING:
    from ..core.detection.landmark_model import LandmarkModel


@dataclass(frozen=True)
class DetectionSettings:
    """Which model runs where: ``model`` is a name or a bundle's folder, None for the current one.

    A landmark whose peak is lower than ``threshold`` counts as not found; None for the model's own threshold.
    """

    model: str | None
    device: str
    threshold: float | None = None


def find_landmarks(
    stacks: Sequence[ScoutStack],
    protocol: Protocol,
    settings: DetectionSettings,
    corrections: Sequence[Landmark],
    progress: Progress,
    cancelled: IsCancelled,
) -> Calibration:
    """Load the model, detect the landmarks and plan the first of the protocol's boxes; ``corrections`` are kept.

    Raises:
        AutoVolumeError: one line for the user.
        Cancelled: ``cancelled()`` was True.
    """
    from ..core.models.anatomies import model_for, with_anatomy_checked
    from ..core.models.bundle import load_model
    from ..core.workflow.pipeline import calibrate

    model = load_model(settings.model or model_for(protocol), settings.device)
    with _device_failures(model):
        plan = calibrate(
            stacks,
            protocol,
            model,
            corrections=corrections,
            threshold=settings.threshold,
            progress=progress,
            cancelled=cancelled,
        )
        return with_anatomy_checked(plan, model, device=settings.device)


def repredict_landmarks(
    calibration: Calibration,
    settings: DetectionSettings,
    corrections: Sequence[Landmark],
    progress: Progress,
    cancelled: IsCancelled,
) -> Calibration:
    """Load the model and rerun detection, guided by the landmarks that the user placed.

    Raises:
        AutoVolumeError: one line for the user.
        Cancelled: ``cancelled()`` was True.
    """
    from ..core.models.anatomies import model_for
    from ..core.models.bundle import load_model
    from ..core.workflow.pipeline import repredict

    model = load_model(settings.model or model_for(calibration.protocol), settings.device)
    with _device_failures(model):
        return repredict(calibration, corrections, model, progress=progress, cancelled=cancelled)


def follow_baseline(calibration: Calibration, path: Path, settings: DetectionSettings) -> Calibration:
    """The plan with the box of the visit at ``path``: the folder of a plan, or of a DICOM series.

    Raises:
        AutoVolumeError: one line for the user.
    """
    from ..core.models.anatomies import model_for
    from ..core.models.bundle import load_model
    from ..core.workflow.baseline import read_baseline
    from ..core.workflow.follow_up_plan import follow

    model = load_model(settings.model or model_for(calibration.protocol), settings.device)
    with _device_failures(model):
        return follow(calibration, read_baseline(path, calibration.protocol, model), path)


@contextmanager
def _device_failures(model: LandmarkModel) -> Iterator[None]:
    """Turn torch's own errors into ModelError: out of memory, or an operation that the device lacks."""
    try:
        yield
    except RuntimeError as error:
        raise ModelError(
            f"failed on device {model.device} ({str(error).partition(chr(10))[0][:200]})",
            source=model.name,
            remedy="Choose the device cpu under Advanced, or another model.",
        ) from error
