"""Buttons that say in their tooltip why they cannot be pressed."""

from __future__ import annotations


def allow(widget, what_it_does: str, why_not: str = "") -> None:
    """Enable ``widget`` with the tooltip ``what_it_does``, or, where there is a reason, disable it and name that."""
    widget.enabled = not why_not
    widget.toolTip = why_not or what_it_does
