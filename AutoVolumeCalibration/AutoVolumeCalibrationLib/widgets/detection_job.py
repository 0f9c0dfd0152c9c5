"""The long part of a calibration, which needs neither the scene nor widgets, and so can run in a thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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

    A landmark whose peak is lower than ``threshold`` is not found; None for the model's own.
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
    """Load the model, find the landmarks and plan the first of the protocol's boxes; ``corrections`` hold.

    Raises:
        AutoVolumeError: one line for the user.
        Cancelled: where ``cancelled`` says so.
    """
    from ..core.models.bundle import load_model
    from ..core.workflow.pipeline import calibrate

    model = load_model(settings.model, settings.device)
    with _device_failures(model):
        return calibrate(
            stacks,
            protocol,
            model,
            corrections=corrections,
            threshold=settings.threshold,
            progress=progress,
            cancelled=cancelled,
        )


def repredict_landmarks(
    calibration: Calibration,
    settings: DetectionSettings,
    corrections: Sequence[Landmark],
    progress: Progress,
    cancelled: IsCancelled,
) -> Calibration:
    """Load the model and look again, the points that a person placed telling how the head lies.

    Raises:
        AutoVolumeError: one line for the user.
        Cancelled: where ``cancelled`` says so.
    """
    from ..core.models.bundle import load_model
    from ..core.workflow.pipeline import repredict

    model = load_model(settings.model, settings.device)
    with _device_failures(model):
        return repredict(calibration, corrections, model, progress=progress, cancelled=cancelled)


@contextmanager
def _device_failures(model: LandmarkModel) -> Iterator[None]:
    """Torch's own errors as ours: no memory left on the device, or nothing there for an operation."""
    try:
        yield
    except RuntimeError as error:
        raise ModelError(
            f"failed on device {model.device} ({str(error).partition(chr(10))[0][:200]})",
            source=model.name,
            remedy="Choose the device cpu under Advanced, or another model.",
        ) from error
