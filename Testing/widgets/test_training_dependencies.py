"""Packages for training are asked for when they are needed, and only those that are missing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)

from AutoVolumeCalibrationLib.core.errors import Cancelled  # noqa: E402


@pytest.fixture
def dependencies(window, monkeypatch):
    """The module under test, and ``hide(*packages)``, after which they look as if they were not installed."""
    from LandmarkTrainingLib.widgets import dependencies

    def hide(*names: str) -> None:
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else find_spec(name))

    return SimpleNamespace(ensure=dependencies.ensure, hide=hide, groups=(dependencies.READING, dependencies.TRAINING))


def test_where_everything_is_there_nothing_is_asked(window, dependencies):
    dependencies.ensure(*dependencies.groups)
    assert window.app.packaging.requests == []


def test_only_the_group_with_something_missing_is_installed(window, dependencies):
    dependencies.hide("ignite")
    dependencies.ensure(*dependencies.groups)
    assert window.app.packaging.requests == [["torch>=2.2", "monai>=1.3", "pytorch-ignite"]]


def test_torch_comes_through_the_pytorch_extension_where_it_is_there(dependencies, monkeypatch):
    asked = []
    logic = SimpleNamespace(installTorch=lambda **options: asked.append(options))
    extension = SimpleNamespace(PyTorchUtilsLogic=lambda: logic, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    dependencies.hide("torch")
    with pytest.raises(Cancelled):  # it gave no torch: declined
        dependencies.ensure(*dependencies.groups)
    assert asked == [{"askConfirmation": True, "torchVersionRequirement": ">=2.2"}]


def test_older_applications_install_with_pip_after_asking(window, dependencies, monkeypatch):
    import qt

    installed = []
    monkeypatch.delattr(slicer, "packaging")
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.setattr(slicer.util, "pip_install", installed.append, raising=False)
    dependencies.hide("ignite")
    window.app.dialogs.answer("QMessageBox", qt.QMessageBox.Cancel)
    with pytest.raises(Cancelled):
        dependencies.ensure(*dependencies.groups)
    window.app.dialogs.answer("QMessageBox", qt.QMessageBox.Ok)
    dependencies.ensure(*dependencies.groups)
    ((*names, flag, constraints),) = installed
    assert (names, flag) == (["pytorch-ignite"], "-c")
    assert "numpy==" in Path(constraints).read_text(encoding="utf-8")
