"""Buttons that say in their tooltip why they are disabled."""

from __future__ import annotations


def allow(widget, what_it_does: str, why_not: str = "") -> None:
    """Enable ``widget`` with the tooltip ``what_it_does``; where there is a reason not to, disable it and show that."""
    widget.enabled = not why_not
    widget.toolTip = why_not or what_it_does
