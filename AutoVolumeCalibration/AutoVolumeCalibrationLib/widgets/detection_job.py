"""Detection as a background job: the long part of a plan, which needs neither the scene nor widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.anatomy.landmark import Landmark
from ..core.anatomy.protocol import Protocol
from ..core.scouts.stack import ScoutStack
from ..core.workflow.calibration import Calibration
from .shared.background_job import IsCancelled, Progress


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
    protocol: Protocol | None,
    settings: DetectionSettings,
    corrections: Sequence[Landmark],
    progress: Progress,
    cancelled: IsCancelled,
) -> Calibration:
    """Load the model, detect the landmarks and plan the first of the protocol's boxes; ``corrections`` are kept.

    Without a protocol the installed models look at the scouts first: that of the anatomy that they show is taken.

    Raises:
        AutoVolumeError: one line for the user.
        Cancelled: ``cancelled()`` was True.
    """
    from ..core.models.installed_planning import plan_with_installed

    return plan_with_installed(
        stacks,
        protocol,
        model=settings.model,
        device=settings.device,
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
    """Load the model and rerun detection, guided by the landmarks that the user placed.

    Raises:
        AutoVolumeError: one line for the user.
        Cancelled: ``cancelled()`` was True.
    """
    from ..core.models.anatomies import model_for
    from ..core.models.bundle import load_model
    from ..core.workflow.pipeline import repredict

    model = load_model(settings.model or model_for(calibration.protocol), settings.device)
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
    return follow(calibration, read_baseline(path, calibration.protocol, model), path)
