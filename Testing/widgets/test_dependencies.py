"""Packages are asked for when they are needed, and only those that are missing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)


@pytest.fixture
def without(monkeypatch):
    """Makes packages look as if they were not installed."""

    def hide(*names: str) -> None:
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else find_spec(name))

    return hide


def test_where_everything_is_there_nothing_is_asked(planned):
    assert planned.app.packaging.requests == []
    assert not planned.ui.firstRunLabel.text


def test_the_first_run_tells_size_and_time_before_anything_is_installed(panel, without):
    without("torch", "monai")
    panel.load()
    assert "about 0.3 GB" in panel.ui.firstRunLabel.text
    assert "minutes" in panel.ui.firstRunLabel.text
    assert panel.app.packaging.requests == []
    panel.calibrate()
    assert panel.app.packaging.requests == [["torch>=2.2", "monai>=1.3"]]


def test_planning_by_hand_asks_for_no_torch(panel, without):
    without("torch", "monai", "threadpoolctl")
    panel.load()
    panel.click(panel.ui.byHandButton)
    assert panel.app.packaging.requests == [["jsonschema>=4.18", "threadpoolctl>=3.1"]]
    assert panel.calibration is not None


def test_declining_is_a_cancel_and_no_error(panel, without, caplog):
    without("torch")
    panel.app.packaging.declined = True
    panel.load()
    panel.click(panel.ui.calibrateButton)
    assert not panel.panel.jobs.busy
    assert panel.calibration is None
    assert caplog.text == ""


def test_torch_comes_through_the_pytorch_extension_where_it_is_there(panel, without, monkeypatch):
    asked = []
    logic = SimpleNamespace(installTorch=lambda **options: asked.append(options))
    extension = SimpleNamespace(PyTorchUtilsLogic=lambda: logic, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    without("torch")
    panel.load()
    panel.click(panel.ui.calibrateButton)
    assert asked == [{"askConfirmation": True, "torchVersionRequirement": ">=2.2"}]
    assert not panel.panel.jobs.busy  # declined: it gave no torch


def test_older_applications_install_with_pip_after_asking(panel, without, monkeypatch):
    import qt

    installed = []
    monkeypatch.delattr(slicer, "packaging")
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.setattr(slicer.util, "pip_install", installed.append, raising=False)
    without("monai")
    panel.load()
    panel.app.dialogs.answer("QMessageBox", qt.QMessageBox.Cancel)
    panel.click(panel.ui.calibrateButton)
    assert installed == []
    panel.app.dialogs.answer("QMessageBox", qt.QMessageBox.Ok)
    panel.calibrate()
    (arguments,) = installed
    assert arguments[:2] == ["monai>=1.3", "-c"]
    assert "numpy==" in Path(arguments[2]).read_text(encoding="utf-8")
    assert panel.calibration is not None


def test_the_sample_scouts_are_offered_with_their_checksums(panel, monkeypatch):
    offered = []
    source = SimpleNamespace(registerCustomSampleDataSource=lambda **options: offered.append(options))
    monkeypatch.setitem(sys.modules, "SampleData", SimpleNamespace(SampleDataLogic=source))
    (register,) = [call for call in slicer.app.startup if call.__name__ == "registerSampleData"]
    register()
    (options,) = offered
    assert len(options["uris"]) == len(options["checksums"]) == len(options["nodeNames"]) == 3
    assert all(uri.startswith("file:///") for uri in options["uris"])
    assert all(len(checksum) == len("SHA256:") + 64 for checksum in options["checksums"])


def test_without_the_sample_data_module_nothing_is_offered(panel, monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    for register in slicer.app.startup:
        register()
