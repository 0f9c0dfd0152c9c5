"""The result that a script holds: it prints in one line, shows itself in a notebook, and saves itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from html import escape
from pathlib import Path

from ..anatomy.landmark import MISSING
from ..report.overview import draw_overview
from ..storage.results import OVERVIEW_FILE, write_results
from ..workflow.calibration import Calibration as PlainCalibration


class Calibration(PlainCalibration):
    """The whole result of one calibration, with what a script or a notebook asks of it.

    The data are those of ``workflow.calibration.Calibration``; that class comes before the rooms that write files
    and draw pictures, so it cannot save itself.
    """

    @classmethod
    def of(cls, result: PlainCalibration) -> Calibration:
        """The same data as this class; the arrays are shared, not copied."""
        return cls(**{field.name: getattr(result, field.name) for field in fields(result)})

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
        """One line without pixels: protocol, box (RAS mm; edges RL x AP x SI), landmarks found, worst check."""
        center = ", ".join(f"{value:.1f}" for value in self.box.center_mm)
        size = " x ".join(f"{length:.0f}" for length in self.box.size_mm)
        found = sum(landmark.status != MISSING for landmark in self.landmarks)
        return (
            f"<Calibration {self.protocol.name}, box {self.box.name}: centre ({center}) mm RAS, size {size} mm, "
            f"{found} of {len(self.landmarks)} landmarks, {self._level}>"
        )

    def _repr_html_(self) -> str:
        """A small table for notebooks: the prescription and the checks. All texts are escaped."""
        rows = [("Prescription", f"<pre>{escape(self.prescription.to_text())}</pre>")]
        rows += [(f"Check: {escape(check.level)}", escape(check.message)) for check in self.checks]
        body = "".join(
            f'<tr><th style="text-align:left">{head}</th><td style="text-align:left">{content}</td></tr>'
            for head, content in rows
        )
        return f"<table><caption>{escape(self.protocol.title)}</caption>{body}</table>"

    @property
    def _level(self) -> str:
        """Level of the worst check: "ok", "warning" or "error". The checks come worst first."""
        return self.checks[0].level
