"""What the page shows of a plan, as plain values that trame sends to the browser."""

from __future__ import annotations

from typing import Any

from ..core.anatomy.landmark import CORRECTED
from ..core.planning.console.card import ConsoleCard
from ..core.planning.console.cards import console_cards
from ..core.planning.risk.finding import risk_in_words
from ..core.report.content import VERDICTS
from ..core.report.style import LEVEL_COLOURS, LEVEL_SIGNS
from ..core.scouts.series_geometry import manufacturer
from ..core.workflow.calibration import Calibration
from .desk import Desk
from .landmark_rows import landmark_rows


def page_state(desk: Desk) -> dict[str, Any]:
    """State name -> value, for all of the page."""
    plan = desk.plan
    return {
        "verdict": f"{LEVEL_SIGNS[plan.level]} {VERDICTS[plan.level]}",
        "verdict_color": LEVEL_COLOURS[plan.level],
        "plan_title": f"{plan.protocol.name}, {plan.box.name}",
        "risk": risk_in_words(plan.risk.probability) if plan.risk else "",
        "checks": [
            {"color": LEVEL_COLOURS[check.level], "text": f"{LEVEL_SIGNS[check.level]} {check.message}"}
            for check in plan.checks
        ],
        "rows": landmark_rows(plan),
        "cards": [_card(card) for card in console_cards(plan)],
        "sides": {plane: list(view.sides) for plane, view in desk.views.items()},
        "status": desk.busy or desk.status,
        "busy": bool(desk.busy),
        "can_undo": desk.current.can_undo,
        "can_redo": desk.current.can_redo,
        "corrected": any(landmark.status == CORRECTED for landmark in plan.landmarks),
        "can_save": desk.can_save,
        "unsaved": desk.can_save and plan is not desk.saved,
    }


def first_vendor(plan: Calibration) -> str:
    """The vendor whose card is shown first: that of the scanner that acquired the scouts, where it is known."""
    words = manufacturer(plan.stacks).lower().split()
    vendors = [card.vendor for card in console_cards(plan)]
    return next((vendor for vendor in vendors if vendor.lower() in words), vendors[0])


def _card(card: ConsoleCard) -> dict[str, Any]:
    return {
        "vendor": card.vendor,
        "title": card.title,
        "lines": [[line.label, line.typed] for line in card.lines],
        "notes": list(card.notes),
        "evidence": card.evidence,
    }
