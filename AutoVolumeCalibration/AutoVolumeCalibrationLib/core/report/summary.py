"""A calibration in one line, and as a small table for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ..anatomy.landmark import MISSING
from ..planning.risk.finding import risk_in_words
from ..planning.side_in_words import side_in_words

if TYPE_CHECKING:
    from ..workflow.calibration import Calibration


def one_line(calibration: Calibration) -> str:
    """Protocol, box (RAS mm; edges right-left x anterior-posterior x superior-inferior), landmarks, worst check."""
    box, landmarks = calibration.box, calibration.landmarks
    center = ", ".join(f"{value:.1f}" for value in box.center_mm)
    size = " x ".join(f"{length:.0f}" for length in box.size_mm)
    found = sum(landmark.status != MISSING for landmark in landmarks)
    return (
        f"<Calibration {calibration.protocol.name}, box {box.name}: centre ({center}) mm RAS, size {size} mm, "
        f"{found} of {len(landmarks)} landmarks{_risk(calibration)}, {calibration.level}>"
    )


def html_table(calibration: Calibration) -> str:
    """The prescription and the checks as an HTML table; all texts are escaped."""
    rows = [("Prescription", f"<pre>{escape(calibration.prescription.to_text())}</pre>")]
    side = side_in_words(calibration.frame, calibration.protocol.anatomy)
    if side:
        rows.append(("Side", escape(side)))
    if calibration.risk:
        rows.append(("Risk", escape(risk_in_words(calibration.risk.probability))))
    rows += [(f"Check: {escape(check.level)}", escape(check.message)) for check in calibration.checks]
    body = "".join(
        f'<tr><th style="text-align:left">{head}</th><td style="text-align:left">{content}</td></tr>'
        for head, content in rows
    )
    return f"<table><caption>{escape(calibration.protocol.title)}</caption>{body}</table>"


def _risk(calibration: Calibration) -> str:
    return f", risk {calibration.risk.probability:.1%}" if calibration.risk else ""
