"""What the user opens in the browser: a plan, the folder that it is saved in, and where its scouts came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.workflow.calibration import Calibration


@dataclass(frozen=True)
class OpenedPlan:
    """A plan to be corrected.

    Attributes:
        folder: that "Save" writes; None where the plan cannot be saved.
        sources: the scouts as they were given.
        study: name of the study, without patient data; may be empty.
    """

    calibration: Calibration
    folder: Path | None
    sources: tuple[str, ...]
    study: str = ""
