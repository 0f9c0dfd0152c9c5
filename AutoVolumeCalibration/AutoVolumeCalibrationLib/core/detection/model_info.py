"""The part of a model that a result keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .model_limits import ModelLimits

if TYPE_CHECKING:
    from ..planning.face_uncertainty import Coverage
    from ..planning.risk.model import RiskModel


#: Backend -> its name for users.
BACKEND_TITLES = {"torch": "PyTorch", "onnx": "ONNX Runtime"}


@dataclass(frozen=True, eq=False)
class ModelInfo:
    """Which model found the landmarks, on which device it ran, and the error that its landmarks share.

    ``pose_covariance`` is (7, 7) as ``frame.fit_frame`` takes it, None where it was not measured. ``threshold`` is
    the user's choice of the peak value below which a landmark counts as not found, None for the model's own.
    ``guidance`` names the user's landmarks that guided the detection. ``coverage`` is the measured coverage of the
    stated uncertainty, of some boxes. ``backend`` is what ran the network, "torch" or "onnx"; empty where an earlier
    version did not record it. ``limits`` are those of what it shows, and ``risk`` says how probable it is that a plan
    is wrong; None where that was not measured. ``other_anatomy`` names the anatomy that the model of another one
    recognised more surely in the same scouts, empty where there is none (``workflow.recognition``).
    ``automatic``: nobody named the protocol, which is that of the anatomy that the scouts show (``models.anatomies``),
    or probably show where ``unsure_anatomy``.
    """

    name: str
    sha256: str
    device: str
    pose_covariance: np.ndarray | None = None
    threshold: float | None = None
    guidance: tuple[str, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    backend: str = ""
    limits: ModelLimits = ModelLimits()
    risk: RiskModel | None = None
    other_anatomy: str = ""
    automatic: bool = False
    unsure_anatomy: bool = False
