"""Sizes of widgets, as PySide6 and as PythonQt state them."""

from __future__ import annotations


def minimum_size(widget):
    """The minimum size hint: a method in the stand-in, a property in PythonQt."""
    hint = widget.minimumSizeHint
    return hint() if callable(hint) else hint
