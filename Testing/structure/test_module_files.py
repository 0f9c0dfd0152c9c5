"""What Slicer asks of a module file, answered without the application."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("AutoVolumeCalibration", "LandmarkTraining")


class _Base:
    def __init__(self, parent=None):
        self.parent = parent


@pytest.fixture
def load(monkeypatch):
    """Loads a module file with the few names it takes from Slicer."""
    fakes = {
        "slicer": {},
        "slicer.i18n": {"tr": str, "translate": lambda _context, text: text},
        "slicer.ScriptedLoadableModule": dict.fromkeys(
            (f"ScriptedLoadableModule{part}" for part in ("", "Logic", "Test", "Widget")), _Base
        ),
    }
    for name, members in fakes.items():
        fake = ModuleType(name)
        fake.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, fake)

    def load_module(name):
        spec = importlib.util.spec_from_file_location(name, ROOT / name / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load_module


@pytest.mark.parametrize("name", MODULES)
def test_a_module_describes_itself(load, name):
    parent = SimpleNamespace()
    getattr(load(name), name)(parent)
    assert parent.title
    assert parent.categories == ["Planning"]
    assert parent.contributors
    assert "Research use only" in parent.helpText
    assert parent.acknowledgementText
    assert set(parent.dependencies) <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_a_widget_and_a_logic(load, name):
    module = load(name)
    assert hasattr(getattr(module, f"{name}Widget"), "setup")
    getattr(module, f"{name}Logic")()


def test_the_logic_plans_what_the_core_plans(load, monkeypatch):
    from AutoVolumeCalibrationLib.core.models import anatomies, installed_planning
    from AutoVolumeCalibrationLib.core.scouts import reader

    monkeypatch.setattr(reader, "read_scouts", lambda paths: ("scouts", *paths))
    monkeypatch.setattr(anatomies, "find_protocol", lambda name: ("protocol", name))
    monkeypatch.setattr(installed_planning, "plan_with_installed", lambda *steps, **options: (*steps, options))
    logic = load("AutoVolumeCalibration").AutoVolumeCalibrationLogic()
    options = {"model": None, "device": "cpu", "backend": "auto", "box": "B"}
    assert logic.calibrate(["a"], "Knee", box="B", device="cpu") == (("scouts", "a"), ("protocol", "Knee"), options)
    assert logic.calibrate(["a"], box="B", device="cpu") == (("scouts", "a"), None, options)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_a_self_test_that_the_build_runs(load, name):
    assert hasattr(getattr(load(name), f"{name}Test"), "runTest")
    assert "slicer_add_python_unittest(SCRIPT ${MODULE_NAME}.py)" in (ROOT / name / "CMakeLists.txt").read_text("utf-8")


def test_the_catalogue_entry_builds_what_the_extension_depends_on():
    entry = json.loads((ROOT / "AutoVolumeCalibration.json").read_text("utf-8"))
    (depends,) = re.findall(r'set\(EXTENSION_DEPENDS "(.*)"\)', (ROOT / "CMakeLists.txt").read_text("utf-8"))
    assert entry["build_dependencies"] == depends.split() == ["PyTorch"]
