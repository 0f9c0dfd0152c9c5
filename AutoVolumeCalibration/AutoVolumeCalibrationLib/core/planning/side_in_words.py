"""The side of a limb as users read it."""

from __future__ import annotations

from .fit.anatomical_frame import BY_HEADER, BY_PROTOCOL, AnatomicalFrame

#: A probability that is written as a number; what is surer is written as more than this.
_MOST = 0.99

_SOURCES = {BY_HEADER: "stated by the scouts' header", BY_PROTOCOL: "stated by the protocol"}


def side_in_words(frame: AnatomicalFrame, anatomy: str) -> str:
    """Such as "right knee (found, probability 97 %)"; empty where the anatomy has no sides.

    Args:
        anatomy: its name, empty where the protocol names none.
    """
    if not frame.side:
        return ""
    p = frame.side_probability
    known = f"over {_MOST:.0%}" if p > _MOST else f"{p:.0%}"
    source = _SOURCES.get(frame.side_source, "found in the images")
    return f"{anatomy_in_words(frame, anatomy)} ({source}, probability {known})"


def anatomy_in_words(frame: AnatomicalFrame, anatomy: str) -> str:
    """Such as "right knee" or "brain"; "anatomy" or "right limb" where the protocol names none."""
    unnamed = "limb" if frame.side else "anatomy"
    return f"{frame.side} {anatomy.replace('_', ' ') or unnamed}".strip()
