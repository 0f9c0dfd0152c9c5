"""The errors that a user can cause or correct, each in one line: what happened, which file, what to do.

The panel shows the text; the command line also turns the type into an exit code.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

#: A message that is longer is shortened in its middle; the remedy stands at its end.
LONGEST_LINE = 1200

#: Unicode categories of characters that steer a terminal or reorder a text, and of halves of surrogate pairs.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


class AutoVolumeError(Exception):
    """Base of all expected failures. ``str(error)`` is the one line shown to the user."""

    def __init__(self, what: str, *, source: str | None = None, remedy: str | None = None) -> None:
        self.what, self.source, self.remedy = what, source, remedy
        text = f"{printable(source)}: {what}" if source else what
        line = " ".join(f"{text}. {remedy}".split()) if remedy else " ".join(text.split())
        super().__init__(in_bounds(printable(line)))


class UsageError(AutoVolumeError):
    """The request itself is wrong: an unknown option, an output folder that cannot be written."""


class ExistsError(UsageError):
    """What would be written is there already, and the request does not allow replacing it."""


class InputError(AutoVolumeError):
    """The scouts or landmarks cannot be read or are unsuitable."""


class ModelError(AutoVolumeError):
    """A model bundle is missing, damaged, or does not fit."""


class ProtocolError(AutoVolumeError):
    """A protocol file is missing, damaged, or does not fit the landmarks."""


def printable(text: str, keep: str = "") -> str:
    """``text`` with control, formatting and surrogate characters as backslash escapes, except those in ``keep``.

    Names of files, studies, data sets and landmarks come from others: shown raw they could move the cursor, recolour
    or reorder what a terminal shows, or fail to be written at all.
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _UNSEEN and character not in keep
        else character
        for character in text
    )


def in_bounds(text: str) -> str:
    """``text`` without its middle where it is too long for a line: a damaged file may hold names of any length."""
    if len(text) <= LONGEST_LINE:
        return text
    half = LONGEST_LINE // 2
    return f"{text[:half]} ... {text[-half:]}"


def shortened(names: Sequence[str], limit: int = 5) -> str:
    """The beginning of a list of names for a message: ``"AC, PC and 3 more"``."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


class Cancelled(Exception):
    """The user stopped the work. Never shown as an error."""
