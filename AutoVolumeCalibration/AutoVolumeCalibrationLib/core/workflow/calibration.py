"""The result of one calibration, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..anatomy.landmark import Landmark
from ..detection.model_info import ModelInfo
from ..detection.model_limits import ModelLimits
from ..follow_up.follow_up import FollowUp
from ..geometry.oriented_box import OrientedBox
from ..motion.motion import Motion
from ..planning.checks.check import ERROR, Check
from ..planning.frame import AnatomicalFrame
from ..planning.risk.finding import PlanRisk
from ..report.overview import draw_overview
from ..report.page import write_page
from ..report.summary import html_table, one_line
from ..storage.results import OVERVIEW_FILE, REPORT_FILE, write_results

if TYPE_CHECKING:
    from ..anatomy.protocol import Protocol
    from ..planning.prescription import Prescription
    from ..scouts.stack import ScoutStack


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """The result of one calibration, and the scouts, protocol and model that it was made with.

    ``predicted`` keeps the network's own landmarks, so that a correction can be reset, ``disagreeing`` the names
    of those on which the planes disagreed, and ``birge_ratios`` by how much (``detection.fusion.Fusion``). ``motion``
    says whether the head moved between the stacks, None where nobody looked. ``risk`` is that of the plan as it is,
    None where the model states none. ``follow_up`` says how the box of a baseline was placed, None without one.
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
    motion: Motion | None = None
    birge_ratios: Mapping[str, float] = field(default_factory=dict)
    risk: PlanRisk | None = None
    follow_up: FollowUp | None = None

    @property
    def limits(self) -> ModelLimits:
        """Limits of what the model shows; the defaults where no model ran."""
        return self.model.limits if self.model else ModelLimits()

    @property
    def has_errors(self) -> bool:
        """Whether a check is an error: do not use the plan without correction."""
        return any(check.level == ERROR for check in self.checks)

    @property
    def level(self) -> str:
        """Level of the worst check, which comes first: "ok", "warning" or "error"."""
        return self.checks[0].level

    def save(
        self,
        folder: Path | str,
        *,
        overwrite: bool = False,
        sources: Sequence[Path | str] = (),
        report: bool = False,
        report_title: str = "",
    ) -> list[Path]:
        """Write the files that ``autovolume calibrate`` writes into ``folder``, all of them or none.

        Args:
            folder: made where it does not exist.
            overwrite: replace existing results; without it they are an error.
            sources: the paths that ``read_scouts`` got. calibration.json keeps them, and ``autovolume refit``
                needs them to find the scouts again.
            report: write report.html too, the plan on one page to print; an earlier one is replaced in any case.
            report_title: written on it, such as the name of the study; without one it holds no names of the patient,
                the study or files.

        Returns:
            The files: landmarks, box, calibration.json, the picture and the report.

        Raises:
            UsageError: the folder has results already, or cannot be written.
        """
        drawings = {OVERVIEW_FILE: draw_overview}
        if report or (Path(folder) / REPORT_FILE).exists():
            drawings[REPORT_FILE] = partial(write_page, title=report_title)
        return write_results(self, folder, overwrite=overwrite, sources=sources, drawings=drawings)

    def __repr__(self) -> str:
        return one_line(self)

    def _repr_html_(self) -> str:
        return html_table(self)
