"""Packages that only some exports need: imported when used, and named with the remedy where they are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import UsageError
from ..install_remedy import install_remedy

#: Top-level import name -> the extra of this package that brings it (pyproject.toml).
EXTRAS = {"highdicom": "dicom", "pypulseq": "doors", "pyigtl": "doors", "ismrmrd": "doors"}


@contextmanager
def needing(package: str) -> Iterator[None]:
    """Import ``package`` inside; UsageError with the ``pip install`` command where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in (package, *EXTRAS):
            raise
        raise UsageError(
            f"the Python package {missing} is missing",
            remedy=install_remedy(missing, EXTRAS[package]),
        ) from error
