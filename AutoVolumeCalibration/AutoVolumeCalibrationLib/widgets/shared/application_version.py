"""The oldest Slicer that the panels work in."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

#: The first that brings pydicom 3 and ``slicer.packaging``.
MINIMUM = (5, 12)


def why_too_old() -> str:
    """A sentence where this application is older than ``MINIMUM``, else empty."""
    major, minor = version()
    if (major, minor) >= MINIMUM:
        return ""
    text = _("This is Slicer {found}, but Slicer {minimum} or later is needed: download it from slicer.org.")
    return text.format(found=f"{major}.{minor}", minimum=".".join(map(str, MINIMUM)))


def version() -> tuple[int, int]:
    """Major and minor version of this application."""
    return slicer.app.majorVersion, slicer.app.minorVersion
