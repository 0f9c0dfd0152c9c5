"""What the views in a browser need on this machine, asked before anything is read."""

from __future__ import annotations

import ctypes.util
import os
import sys
from importlib.util import find_spec

from ..core.errors import UsageError
from ..core.install_remedy import install_remedy

#: Import name -> distribution.
_PACKAGES = {"slicer": "slicer-core", "trame": "trame", "trame_rca": "trame-rca"}


def require_packages() -> None:
    """Raise UsageError where a package or the graphics library is missing."""
    missing = missing_package()
    if missing:
        raise UsageError(
            f"the Python package {missing} is missing, which the views in the browser need",
            remedy=install_remedy(_PACKAGES[missing], "browser"),
        )
    if not can_draw():
        # VTK would end the process at the first window.
        raise UsageError(
            "nothing can be drawn here: there is neither a display nor the library libEGL",
            remedy="Install it, on Debian: apt-get install libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri.",
        )


def missing_package() -> str:
    """The first package of the extra that is not installed; empty where all are."""
    return next((name for name in _PACKAGES if find_spec(name) is None), "")


def can_draw() -> bool:
    """Whether VTK can open a window: with a display, with EGL, or on a system that always has one."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or ctypes.util.find_library("EGL"))


def choose_window() -> None:
    """Let VTK draw through EGL where there is no display; called before VTK is loaded."""
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
