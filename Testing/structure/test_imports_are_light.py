"""Importing the planner costs nothing: a Slicer without torch still starts, and starts fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "AutoVolumeCalibration" / "AutoVolumeCalibrationLib"
HEAVY = ("torch", "monai", "SimpleITK", "pydicom", "matplotlib", "jsonschema", "slicer", "vtk", "qt")

SCRIPT = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2].split(","):
    importlib.import_module(name)
print(",".join(name for name in sys.argv[3].split(",") if name in sys.modules))
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
