"""The fixtures of tests that need the stand-in or real views; a conftest imports them by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator:
    """The stand-in for the application (``standin.session.StandIn``); what went wrong unseen fails the test."""
    slicer = pytest.importorskip("slicer", exc_type=ImportError)
    pytest.importorskip("PySide6.QtWidgets", reason="the stand-in needs PySide6", exc_type=ImportError)
    if hasattr(slicer, "app"):
        pytest.skip("the stand-in has no place in the application")
    from standin.session import installed

    with installed(tmp_path) as session:
        yield session
    session.verify()


@pytest.fixture
def real_views(stand_in) -> Iterator:
    """Slicer's four views of the stand-in's scene (``views_support.Views``)."""
    from views_support import can_render, open_views

    if not can_render():
        pytest.skip("nothing can be drawn here: no display, no libEGL")
    views = open_views(stand_in.scene, stand_in.application_logic)
    yield views
    views.close()
