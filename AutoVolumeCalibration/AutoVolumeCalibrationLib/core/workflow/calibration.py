"""The whole result of one calibration, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..anatomy.landmark import Landmark
from ..detection.model_info import ModelInfo
from ..geometry.oriented_box import OrientedBox
from ..planning.checks import ERROR, Check
from ..planning.frame import AnatomicalFrame
from ..report.overview import draw_overview
from ..report.summary import html_table, one_line
from ..storage.results import OVERVIEW_FILE, write_results

if TYPE_CHECKING:
    from ..anatomy.protocol import Protocol
    from ..planning.prescription import Prescription
    from ..scouts.stack import ScoutStack


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """Everything that one calibration found out, and what it was found from.

    ``predicted`` keeps the network's own landmarks, so that a correction can be taken back, and ``disagreeing`` the
    names of those on which the planes disagreed.
    """

    stacks: tuple[ScoutStack, ...]
    protocol: Protocol
    landmarks: tuple[Landmark, ...]
    predicted: tuple[Landmark, ...]
    frame: AnatomicalFrame
    box: OrientedBox
    prescription: Prescription
    checks: tuple[Check, ...]
    model: ModelInfo | None
    timings_s: Mapping[str, float] = field(default_factory=dict)
    disagreeing: tuple[str, ...] = ()

    @property
    def has_errors(self) -> bool:
        """True where a check says: do not trust without review."""
        return any(check.level == ERROR for check in self.checks)

    @property
    def level(self) -> str:
        """Level of the worst check: "ok", "warning" or "error". The checks come worst first."""
        return self.checks[0].level

    def save(self, folder: Path | str, *, overwrite: bool = False, sources: Sequence[Path | str] = ()) -> list[Path]:
        """Write the files that ``autovolume calibrate`` writes into ``folder``, all of them or none.

        Args:
            folder: made where it does not exist.
            overwrite: replace results that are there; without it they are an error.
            sources: the paths that ``read_scouts`` got. calibration.json keeps them, and ``autovolume refit``
                needs them to find the scouts again.

        Returns:
            The files: landmarks, box, calibration.json and the picture.

        Raises:
            UsageError: results are there already, or the folder cannot be written.
        """
        drawings = {OVERVIEW_FILE: draw_overview}
        return write_results(self, folder, overwrite=overwrite, sources=sources, drawings=drawings)

    def __repr__(self) -> str:
        return one_line(self)

    def _repr_html_(self) -> str:
        return html_table(self)
