"""What to type where a Python package is missing, so that it works as printed."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution

#: The distribution that this code is installed from; inside Slicer and from a source folder there is none.
_DISTRIBUTION = "autovolume"


def install_remedy(package: str, extra: str = "") -> str:
    """The remedy of an error, one sentence with the command for the Python that runs now.

    The package index does not have this project: an extra can be installed by its name only where the project itself
    is installed, and only by the pip of that Python.

    Args:
        package: name of the missing distribution.
        extra: the extra of this project that brings it and what belongs to it; empty where there is none.
    """
    wanted = f"{_DISTRIBUTION}[{extra}]" if extra and _is_installed() else package
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    # Double quotes are understood by all shells, and zsh would take the brackets for a pattern.
    return f'Install it: {python} -m pip install "{wanted}".'


def _is_installed() -> bool:
    try:
        distribution(_DISTRIBUTION)
    except PackageNotFoundError:
        return False
    return True
