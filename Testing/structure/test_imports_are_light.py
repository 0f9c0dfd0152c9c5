"""Importing the planner costs nothing: a Slicer without torch still starts, and starts fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "AutoVolumeCalibration" / "AutoVolumeCalibrationLib"
HEAVY = (
    *("torch", "monai", "onnxruntime", "SimpleITK", "pydicom", "matplotlib", "jsonschema", "slicer", "vtk", "qt"),
    *("highdicom", "pypulseq", "pyigtl", "ismrmrd", "flask", "waitress", "trame", "aiohttp"),
)

SCRIPT = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2].split(","):
    importlib.import_module(name)
print(",".join(name for name in sys.argv[3].split(",") if name in sys.modules))
"""

#: Loads the module file of a folder with the few names that it takes from Slicer.
MODULE_SCRIPT = """
import importlib.util, sys
from types import ModuleType
folder, heavy = sys.argv[1], sys.argv[2].split(",")
fakes = {"slicer": (), "slicer.i18n": ("tr", "translate"), "slicer.ScriptedLoadableModule": (
    "ScriptedLoadableModule", "ScriptedLoadableModuleLogic", "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget")}
for name, members in fakes.items():
    sys.modules[name] = ModuleType(name)
    for member in members:
        setattr(sys.modules[name], member, type(member, (), {}))
name = folder.replace("\\\\", "/").rsplit("/", 1)[-1]
sys.path.insert(0, folder)
spec = importlib.util.spec_from_file_location(name, f"{folder}/{name}.py")
spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(",".join(name for name in heavy if name in sys.modules))
"""


def loaded_after_importing(names: list[str]) -> list[str]:
    """Which of HEAVY a fresh Python holds after importing ``names``."""
    arguments = [sys.executable, "-c", SCRIPT, str(PACKAGE.parent), ",".join(names), ",".join(HEAVY)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60)
    return [name for name in done.stdout.strip().split(",") if name]


def test_the_core_imports_nothing_heavy():
    files = [path.relative_to(PACKAGE.parent).with_suffix("") for path in sorted((PACKAGE / "core").rglob("*.py"))]
    # Network classes need torch, and are imported only to build one.
    names = [".".join(path.parts).removesuffix(".__init__") for path in files if "architectures" not in path.parts]
    assert {"AutoVolumeCalibrationLib.core.workflow.pipeline", "AutoVolumeCalibrationLib.core.scouts.dicom"} <= set(
        names
    )
    assert loaded_after_importing(names) == []


def test_the_command_line_imports_nothing_heavy():
    assert loaded_after_importing(["AutoVolumeCalibrationLib.cli"]) == []


def test_a_heavy_import_would_be_seen():
    assert loaded_after_importing(["jsonschema"]) == ["jsonschema"]


@pytest.mark.parametrize("module", ["AutoVolumeCalibration", "LandmarkTraining"])
def test_a_module_file_of_slicer_imports_nothing_heavy(module):
    """Slicer loads it at start-up; how long that takes is measured in Testing/benchmarks/module_import.py."""
    heavy = ",".join(name for name in (*HEAVY, "scipy") if name not in ("slicer", "qt"))
    arguments = [sys.executable, "-c", MODULE_SCRIPT, str(ROOT / module), heavy]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
