"""The plan of an earlier visit: one that was saved, or the one that a DICOM series was acquired with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..anatomy.protocol import Protocol
from ..scouts.reader import read_study
from ..scouts.series_geometry import read_series_geometry
from ..storage.results import CALIBRATION_FILE
from .calibration import Calibration
from .pipeline import calibrate
from .saved_plan import reopen

if TYPE_CHECKING:
    from ..detection.landmark_model import LandmarkModel


def read_baseline(
    path: Path, protocol: Protocol, model: LandmarkModel, *, scouts: Sequence[Path | str] = (), force: bool = False
) -> Calibration:
    """The plan of an earlier visit, with the images that a follow-up is compared with.

    Args:
        path: a folder with a saved plan, or one with the DICOM series of the earlier visit. The slices of a series are
            the box, and are compared with the scouts of the follow-up.
        protocol, model: of the follow-up; the landmarks of a series are found with them.
        scouts: where the scouts of a saved plan are now, if they moved.
        force: take other modalities than MR too.

    Raises:
        InputError: there is no plan and no series, or its landmarks are not found.
    """
    if (path / CALIBRATION_FILE).is_file():
        return reopen(path, scouts=scouts)
    series = read_series_geometry(path, force=force)
    stacks = read_study([path], force=force, series=[series.stack.series] if series.stack.series else []).stacks
    plan = calibrate(stacks, protocol, model)
    # Only its place matters: what the plan by landmarks says of it has no meaning.
    return replace(plan, box=series.box(plan.box.name))
