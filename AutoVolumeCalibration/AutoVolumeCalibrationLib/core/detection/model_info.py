"""What a result keeps of the model that it was made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..planning.face_uncertainty import Coverage


@dataclass(frozen=True, eq=False)
class ModelInfo:
    """Which model found the landmarks, on which device it ran, and the error that its landmarks share.

    ``pose_covariance`` is (7, 7) as ``frame.fit_frame`` takes it, None where it was not measured. ``threshold`` is
    a person's choice of the peak height below which a landmark is not found, None for the model's own. ``given`` are
    the landmarks whose places the model was told before it looked for the others. ``coverage`` tells what the stated
    uncertainty of some boxes is worth.
    """

    name: str
    sha256: str
    device: str
    pose_covariance: np.ndarray | None = None
    threshold: float | None = None
    guidance: tuple[str, ...] = ()
    coverage: tuple[Coverage, ...] = ()
