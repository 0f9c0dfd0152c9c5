"""What is exported: a calibration at hand, or a plan in a folder exactly as it was saved."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..anatomy.protocol_file import load_protocol
from ..errors import InputError, ProtocolError
from ..files.json_files import read_json
from ..report.overview import draw_overview
from ..scouts.stack import ScoutStack
from ..storage.results import (
    CALIBRATION_FILE,
    OVERVIEW_FILE,
    SavedCalibration,
    calibration_to_dict,
    saved_from_dict,
)
from ..workflow.calibration import Calibration
from ..workflow.saved_plan import stacks_of
from .scan_geometry import ScanGeometry, scan_geometry

_REMEDY = "Give the folder that calibrate wrote, or run calibrate again."


@dataclass(frozen=True, eq=False)
class PlanSource:
    """A plan to export.

    Attributes:
        content: of calibration.json.
        saved: the same, as objects.
        calibration: where the plan is at hand; None where it comes from a folder.
        folder: where it comes from; None where it is at hand.
        scouts: where the scouts of a folder are now; empty: where they were.
    """

    content: Mapping[str, Any]
    saved: SavedCalibration
    calibration: Calibration | None = None
    folder: Path | None = None
    scouts: tuple[Path | str, ...] = ()

    @property
    def geometry(self) -> ScanGeometry:
        """The planned slab."""
        return scan_geometry(self.saved.prescription)

    @cached_property
    def stacks(self) -> tuple[ScoutStack, ...]:
        """The scouts; InputError where they are gone or are not those of the plan."""
        if self.calibration is not None:
            return self.calibration.stacks
        return tuple(stacks_of(self.saved, str(self.folder), self.scouts))

    @property
    def has_scouts(self) -> bool:
        """Whether the scouts can be read without asking for their place."""
        paths = self.scouts or self.saved.sources
        return self.calibration is not None or (bool(paths) and all(Path(path).exists() for path in paths))

    def titles(self) -> dict[str, str]:
        """Landmark name -> its title; empty where the protocol of a folder is gone."""
        try:
            protocol = self.calibration.protocol if self.calibration else load_protocol(self.saved.protocol)
        except ProtocolError:
            return {}
        return {landmark.name: landmark.title for landmark in protocol.constellation.landmarks}

    @contextmanager
    def picture(self) -> Iterator[Path]:
        """The overview as a PNG file: that of the folder, or drawn for the moment."""
        if self.folder is not None:
            path = self.folder / OVERVIEW_FILE
            if not path.is_file():
                raise InputError(
                    "the picture of the plan is missing", source=str(path), remedy="Run autovolume refit to draw it."
                )
            yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            assert self.calibration is not None
            path = Path(folder) / OVERVIEW_FILE
            draw_overview(self.calibration, path)
            yield path


def plan_source(plan: Calibration | Path | str, scouts: Sequence[Path | str] = ()) -> PlanSource:
    """The plan to export; InputError where a folder holds none, or a damaged one."""
    if isinstance(plan, Calibration):
        content = calibration_to_dict(plan)
        return PlanSource(content, saved_from_dict(content, "plan"), calibration=plan)
    path = Path(plan) / CALIBRATION_FILE
    content = read_json(path, InputError, _REMEDY)
    return PlanSource(content, saved_from_dict(content, path), folder=Path(plan), scouts=tuple(scouts))
