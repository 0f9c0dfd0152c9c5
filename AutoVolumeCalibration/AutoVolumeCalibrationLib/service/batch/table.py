"""``batch.csv``: a row for each study as its outcome comes, and all rows in order once the batch ends."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ...core.errors import printable
from ...core.files.atomic_write import write_text
from ..engine.outcome import Outcome, Value

if TYPE_CHECKING:
    from ...core.storage.results import SavedCalibration
    from ...core.workflow.calibration import Calibration

#: Column -> decimals; the columns after study, exit_code and message. LPS mm and degrees, as in the prescription.
COLUMNS = MappingProxyType(
    {
        "light": 0,
        "box": 0,
        "center_left_mm": 2,
        "center_posterior_mm": 2,
        "center_head_mm": 2,
        "angulation_ap_deg": 2,
        "angulation_fh_deg": 2,
        "angulation_rl_deg": 2,
        "in_plane_deg": 2,
        "orientation": 0,
        "size_right_left_mm": 2,
        "size_anterior_posterior_mm": 2,
        "size_head_foot_mm": 2,
        "slices": 0,
        "slice_thickness_mm": 2,
        "risk": 4,
        "landmarks_found": 0,
    }
)

#: A spreadsheet takes text that begins like this for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def numbers(plan: Calibration | SavedCalibration) -> dict[str, Value]:
    """The columns of a plan."""
    prescription, box = plan.prescription, plan.box
    left, posterior, head = prescription.center_mm
    ap, fh, rl = prescription.philips_angulation_deg
    right_left, anterior_posterior, head_foot = (float(size) for size in box.size_mm)
    return {
        "light": plan.checks[0].level,
        "box": box.name,
        "center_left_mm": left,
        "center_posterior_mm": posterior,
        "center_head_mm": head,
        "angulation_ap_deg": ap,
        "angulation_fh_deg": fh,
        "angulation_rl_deg": rl,
        "in_plane_deg": prescription.in_plane_deg,
        "orientation": prescription.orientation_text,
        "size_right_left_mm": right_left,
        "size_anterior_posterior_mm": anterior_posterior,
        "size_head_foot_mm": head_foot,
        "slices": prescription.slices,
        "slice_thickness_mm": prescription.slice_thickness_mm,
        "risk": plan.risk.probability if plan.risk else None,
        "landmarks_found": sum(landmark.position_mm is not None for landmark in plan.landmarks),
    }


class OutcomeTable:
    """The table in a file.

    Rows are appended, so that ten thousand studies do not write it ten thousand times. Where that fails (a full disk, a
    spreadsheet that holds the file), the rows come with the next one or at the end.
    """

    def __init__(self, path: Path, earlier: Iterable[Outcome]) -> None:
        self._path = path
        self._pending = ""
        write_text(path, _text(earlier, header=True))

    def append(self, outcome: Outcome) -> None:
        """Add a row."""
        self._pending += _text([outcome], header=False)
        try:
            with open(self._path, "a", encoding="utf-8", newline="") as file:
                file.write(self._pending)
        except OSError:
            return
        self._pending = ""


def write_table(path: Path, outcomes: Iterable[Outcome]) -> None:
    """A whole table; UsageError where it cannot be written."""
    write_text(path, _text(outcomes, header=True))


def _text(outcomes: Iterable[Outcome], header: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(["study", "exit_code", "message", *COLUMNS, "seconds"])
    for one in outcomes:
        cells = [_cell(one.numbers.get(name), decimals) for name, decimals in COLUMNS.items()]
        writer.writerow([_harmless(one.study), one.exit_code, _harmless(one.message), *cells, f"{one.seconds:.2f}"])
    return text.getvalue()


def _cell(value: Value, decimals: int) -> str:
    if value is None:
        return ""
    return _harmless(value) if isinstance(value, str) else f"{value:.{decimals}f}"


def _harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula. The name of a folder need not be text, and messages quote it."""
    return f"'{printable(text)}" if text.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else printable(text)
