"""The errors a user can cause or mend, each one line: what, which file, what to do.

The command line maps them to exit codes (``exit_code``); the panel shows the text.
"""

from __future__ import annotations


class AutoVolumeError(Exception):
    """Base of all expected failures. ``str(error)`` is the one line shown to the user."""

    exit_code = 3

    def __init__(self, what: str, *, source: str | None = None, remedy: str | None = None) -> None:
        self.what, self.source, self.remedy = what, source, remedy
        text = f"{source}: {what}" if source else what
        super().__init__(" ".join(f"{text}. {remedy}".split()) if remedy else " ".join(text.split()))


class UsageError(AutoVolumeError):
    """The call itself is off: a bad flag, an output folder that cannot be written."""

    exit_code = 2


class InputError(AutoVolumeError):
    """The scouts or landmarks cannot be read or do not suit the job."""

    exit_code = 3


class ModelError(AutoVolumeError):
    """A model bundle is missing, damaged, or does not fit."""

    exit_code = 4


class ProtocolError(AutoVolumeError):
    """A protocol file is missing, damaged, or does not fit the landmarks."""

    exit_code = 4


class Cancelled(Exception):
    """The user stopped the work. Never shown as an error (exit code 130)."""

    exit_code = 130
