"""The training window asks for its own packages; how they are installed, test_dependencies.py says for both modules."""

from __future__ import annotations

import importlib.util

import pytest

slicer = pytest.importorskip("slicer", exc_type=ImportError)


def test_only_the_group_with_something_missing_is_installed(window, monkeypatch):
    from AutoVolumeCalibrationLib.widgets.shared.dependencies import ensure
    from LandmarkTrainingLib.widgets import requirements

    find_spec = importlib.util.find_spec
    # What is installed as pytorch-ignite is imported as ignite.
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ignite" else find_spec(name))
    ensure(requirements.READING, requirements.TRAINING)
    assert window.app.packaging.requests == [
        ["torch>=2.2", "monai>=1.3", "pytorch-ignite", "onnx", "onnxruntime>=1.16"]
    ]
