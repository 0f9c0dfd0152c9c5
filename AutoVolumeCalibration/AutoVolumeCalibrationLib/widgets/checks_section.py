"""Checks: a traffic light and the reasons for it."""

from __future__ import annotations

from html import escape

from slicer.i18n import tr as _

from ..core.planning.checks.check import ERROR, OK, WARNING, Check
from ..core.report.style import LEVEL_COLOURS
from ..mrml.editing.current_study import CurrentStudy

_NO_PLAN_COLOR = "#808080"


class ChecksSection:
    """Shows the checks of the current plan, worst first."""

    def __init__(self, ui, current: CurrentStudy) -> None:
        self._ui, self._current = ui, current

    def update(self) -> None:
        """Show the current plan's verdict."""
        calibration = self._current.calibration
        if calibration is None:
            self._show(_NO_PLAN_COLOR, _("No plan yet"), "")
            return
        level = worst_level(calibration.checks)
        self._show(LEVEL_COLOURS[level], verdict(calibration.checks), _reasons(calibration.checks))

    def _show(self, color: str, verdict_text: str, reasons: str) -> None:
        self._ui.lightLabel.styleSheet = f"background: {color}; border-radius: 9px;"
        self._ui.verdictLabel.text = verdict_text
        self._ui.reasonsLabel.text = reasons
        self._ui.reasonsLabel.visible = bool(reasons)


def worst_level(checks: tuple[Check, ...]) -> str:
    """ "error", "warning" or "ok"."""
    levels = {check.level for check in checks}
    return next((level for level in (ERROR, WARNING) if level in levels), OK)


def verdict(checks: tuple[Check, ...]) -> str:
    """The traffic light in words."""
    texts = {
        OK: _("Ready for review"),
        WARNING: _("Check the points named below"),
        ERROR: _("Do not use without correction"),
    }
    return texts[worst_level(checks)]


def _reasons(checks: tuple[Check, ...]) -> str:
    """The messages of the checks as a list, each with a dot in the colour of its level."""
    rows = (
        f'<p style="margin: 0 0 3px 0"><span style="color: {LEVEL_COLOURS[check.level]}">&#9679;</span> '
        f"{escape(check.message)}</p>"
        for check in checks
    )
    return "".join(rows)
