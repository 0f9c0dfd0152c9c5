"""cli -> browser -> service -> mrml -> core; widgets -> mrml; training -> planning, its shared widgets; never back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLANNING, TRAINING = "AutoVolumeCalibrationLib", "LandmarkTrainingLib"
PACKAGES = {PLANNING: ROOT / "AutoVolumeCalibration", TRAINING: ROOT / "LandmarkTraining"}

#: Which sibling layers a layer may import from its own package.
LAYERS = {
    "": set(),
    "core": {"core"},
    "mrml": {"core", "mrml"},
    "widgets": {"core", "mrml", "widgets"},
    "service": {"core", "mrml", "service"},
    "browser": {"core", "mrml", "service", "browser"},
    "cli": {"core", "mrml", "service", "browser", "cli"},
}
APPLICATION = {"qt", "ctk", "qSlicerModules", "slicer.app", "slicer.util.mainWindow"}
SCENE = {"slicer", "vtk", "vtkmodules"}
#: What a layer must leave to the layers above it.
FORBIDDEN = {
    "": SCENE | APPLICATION,
    "core": SCENE | APPLICATION,
    "mrml": APPLICATION,
    "service": {"qt", "ctk"},
    "browser": APPLICATION,
    "cli": {"qt", "ctk"},
    "widgets": set(),
}

HEAVY = {
    "distributed",
    "dask",
    "pynetdicom",
    "torch",
    "monai",
    "onnx",
    "onnxruntime",
    "SimpleITK",
    "pydicom",
    "matplotlib",
    "ignite",
    "tensorboard",
}
HEAVY |= {"highdicom", "pypulseq", "pyigtl", "ismrmrd"}
#: Code that is only loaded to train, and network classes, which are only loaded to build a network.
MAY_IMPORT_TORCH = (f"{TRAINING}.core", f"{PLANNING}.core.networks.architectures")
TORCH = {"torch", "monai", "ignite"}

#: Widgets of both modules. They know nothing of the panel around them, so that training's panel can use them.
SHARED_WIDGETS = f"{PLANNING}.widgets.shared"

#: The one way back: the command line offers the training commands, and loads them when one is called.
TRAINING_COMMANDS = (f"{PLANNING}.cli.main", f"{TRAINING}.cli")


class Import(NamedTuple):
    """``importer`` imports ``target`` (both dotted); ``lazy`` inside a function, ``typing_only`` never at run time."""

    importer: str
    target: str
    lazy: bool
    typing_only: bool
    line: int


def modules() -> Iterator[tuple[str, Path]]:
    """(dotted name, file) of every Python file of both packages; a package's own name for its __init__."""
    for package, folder in PACKAGES.items():
        for path in sorted((folder / package).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports_of(name: str, path: Path) -> list[Import]:
    """All imports of a file, relative ones resolved, ``from a import b`` as ``a.b``."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return list(_walk(ast.parse(path.read_text(encoding="utf-8")), name, package, lazy=False, typing_only=False))


def _walk(node: ast.AST, name: str, package: str, lazy: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for target in _targets(child, package):
            yield Import(name, target, lazy, typing_only, child.lineno)
        guard = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(child, name, package, lazy or function, typing_only or guard)


def _targets(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = package.split(".")
    prefix = base[: len(base) - node.level + 1] if node.level else []
    source = ".".join([*prefix, *([node.module] if node.module else [])])
    return [f"{source}.{alias.name}" for alias in node.names]


def split(dotted: str) -> tuple[str, str]:
    """(package, layer) of a module of ours; the layer is "" for the package itself."""
    package, _, rest = dotted.partition(".")
    layer = rest.split(".")[0]
    return package, layer if layer in LAYERS else ""


def violation(found: Import) -> str | None:
    """Why an import is against the layers, or None."""
    package, layer = split(found.importer)
    target_package, target_layer = split(found.target)
    if found.typing_only:
        return None
    if any(found.target == name or found.target.startswith(f"{name}.") for name in FORBIDDEN[layer]):
        return f"the layer {layer or '__init__'} must not know {found.target}"
    if not found.lazy and target_package in HEAVY - (TORCH if _is_in(found.importer, MAY_IMPORT_TORCH) else set()):
        return f"{target_package} is imported at file scope"
    if not found.lazy and _is_in(found.target, MAY_IMPORT_TORCH[1:]) and not _is_in(found.importer, MAY_IMPORT_TORCH):
        return "architectures bring torch with them and are imported at file scope"
    if target_package == package and target_layer and target_layer not in LAYERS[layer]:
        return f"{layer or 'the package'} must not import {target_layer}"
    if package == PLANNING and target_package == TRAINING and not _offers_training_commands(found):
        return "planning must not depend on training"
    if _is_in(found.importer, (SHARED_WIDGETS,)) and target_layer == "widgets" and not _is_shared(found.target):
        return "shared widgets must not import the panel's"
    if package == TRAINING and target_package == PLANNING and target_layer in {"widgets", "cli"}:
        if layer == "widgets" and _is_shared(found.target):
            return None
        return "training builds on planning's core, mrml and shared widgets only"
    return None


def _is_in(dotted: str, packages: tuple[str, ...]) -> bool:
    return any(f"{dotted}.".startswith(f"{package}.") for package in packages)


def _is_shared(target: str) -> bool:
    return _is_in(target, (SHARED_WIDGETS,))


def _offers_training_commands(found: Import) -> bool:
    importer, target = TRAINING_COMMANDS
    return found.lazy and found.importer == importer and f"{found.target}.".startswith(f"{target}.")


def test_imports_point_down_the_layers():
    reasons = [
        f"{path}:{found.line}: {why}"
        for name, path in modules()
        for found in imports_of(name, path)
        if (why := violation(found))
    ]
    assert reasons == []


@pytest.mark.parametrize("module", ["AutoVolumeCalibration", "LandmarkTraining"])
def test_a_module_file_imports_only_slicer_at_file_scope(module):
    path = ROOT / module / f"{module}.py"
    eager = {found.target.split(".")[0] for found in imports_of(module, path) if not (found.lazy or found.typing_only)}
    assert eager <= {"__future__", "typing", "pathlib", "collections", "slicer", "qt"}


@pytest.mark.parametrize(
    ("importer", "statement", "allowed"),
    [
        ("AutoVolumeCalibrationLib.core.planning.frame", "from .landmarks import Landmark", True),
        ("AutoVolumeCalibrationLib.core.planning.frame", "import numpy as np", True),
        ("AutoVolumeCalibrationLib.core.planning.frame", "import torch", False),
        ("AutoVolumeCalibrationLib.core.planning.frame", "def f():\n    import torch", True),
        ("AutoVolumeCalibrationLib.core.planning.frame", "def f():\n    import slicer", False),
        ("AutoVolumeCalibrationLib.core.planning.frame", "from ..networks.architectures import scn", False),
        (
            "AutoVolumeCalibrationLib.core.networks.registry",
            "def f():\n    from .architectures import unet_plus_plus",
            True,
        ),
        ("AutoVolumeCalibrationLib.core.networks.architectures.scn", "import torch", True),
        ("AutoVolumeCalibrationLib.core.planning.frame", "from ...mrml import nodes", False),
        ("AutoVolumeCalibrationLib.core.planning.frame", "from ... import cli", False),
        ("AutoVolumeCalibrationLib.service.engine.running", "from ...core.errors import InputError", True),
        ("AutoVolumeCalibrationLib.service.engine.running", "import distributed", False),
        ("AutoVolumeCalibrationLib.service.planning", "from ..cli import console", False),
        ("AutoVolumeCalibrationLib.mrml.nodes", "import slicer", True),
        ("AutoVolumeCalibrationLib.mrml.nodes", "def f():\n    import qt", False),
        ("AutoVolumeCalibrationLib.mrml.nodes", "from slicer.app import layoutManager", False),
        ("AutoVolumeCalibrationLib.mrml.nodes", "from ..widgets import panel", False),
        ("AutoVolumeCalibrationLib.cli.main", "def f():\n    from LandmarkTrainingLib.cli import commands", True),
        ("AutoVolumeCalibrationLib.cli.main", "from LandmarkTrainingLib.cli import commands", False),
        ("AutoVolumeCalibrationLib.cli.main", "def f():\n    from LandmarkTrainingLib.core import loss", False),
        ("AutoVolumeCalibrationLib.cli.other", "def f():\n    from LandmarkTrainingLib.cli import commands", False),
        ("LandmarkTrainingLib.core.training.losses", "import torch", True),
        ("LandmarkTrainingLib.cli.train", "import torch", False),
        ("LandmarkTrainingLib.core.training.losses", "from AutoVolumeCalibrationLib.core import heatmaps", True),
        ("LandmarkTrainingLib.cli.train", "from AutoVolumeCalibrationLib.cli import main", False),
        ("LandmarkTrainingLib.widgets.panel", "from AutoVolumeCalibrationLib.widgets.shared import messages", True),
        ("LandmarkTrainingLib.widgets.panel", "from AutoVolumeCalibrationLib.widgets import shared", True),
        ("LandmarkTrainingLib.widgets.panel", "from AutoVolumeCalibrationLib.widgets import panel", False),
        ("LandmarkTrainingLib.widgets.panel", "from AutoVolumeCalibrationLib.widgets.shared_box import draw", False),
        ("LandmarkTrainingLib.core.options", "from AutoVolumeCalibrationLib.widgets.shared import messages", False),
        ("AutoVolumeCalibrationLib.widgets.panel", "from .shared.background_job import BackgroundJob", True),
        ("AutoVolumeCalibrationLib.widgets.shared.messages", "from .background_job import BackgroundJob", True),
        ("AutoVolumeCalibrationLib.widgets.shared.messages", "from ..panel import Panel", False),
    ],
)
def test_the_rules_tell_right_from_wrong(tmp_path, importer, statement, allowed):
    path = tmp_path / "module.py"
    path.write_text(statement, encoding="utf-8")
    reasons = [why for found in imports_of(importer, path) if (why := violation(found))]
    assert (reasons == []) is allowed, reasons
