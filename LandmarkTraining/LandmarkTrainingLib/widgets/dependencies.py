"""Python packages that Slicer does not bring along, installed when they are needed, after asking.

Data are read with small packages; only a training needs torch. What is there already (torch, numpy, SimpleITK) keeps
its version: pip is told so by a constraints file.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from importlib import metadata
from pathlib import Path

import slicer
import slicer.util
from slicer.i18n import tr as _

from AutoVolumeCalibrationLib.core.errors import Cancelled

#: Requirement files in the module's Resources.
READING, TRAINING = "requirements.txt", "requirements-training.txt"

TORCH = ">=2.2"
KEPT = ("torch", "numpy", "SimpleITK")
#: Distribution -> what is imported, where the two differ.
_IMPORTS = {"pytorch-ignite": "ignite"}


def ensure(*groups: str) -> None:
    """Install what is missing of the requirement files ``groups``.

    Raises:
        Cancelled: the user declined.
    """
    for group in groups:
        lines = missing(group)
        if lines:
            if any(line.startswith("torch") for line in lines):
                _torch_through_its_extension()
            _install(group)
            importlib.invalidate_caches()


def missing(group: str) -> list[str]:
    """The requirements of a group whose packages cannot be imported."""
    text = _file_of(group).read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#") and not _is_there(line)]


def _file_of(group: str) -> Path:
    return Path(slicer.util.modulePath("LandmarkTraining")).parent / "Resources" / group


def _is_there(requirement: str) -> bool:
    name = requirement.partition(">")[0].strip()
    return importlib.util.find_spec(_IMPORTS.get(name, name)) is not None


def _torch_through_its_extension() -> None:
    """Where the PyTorch extension is there, it chooses the build that suits the graphics card."""
    if importlib.util.find_spec("PyTorchUtils") is None:
        return
    import PyTorchUtils

    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH) is None:
        raise Cancelled


def _install(group: str) -> None:
    constraints = str(_constraints())
    try:
        from slicer import packaging
    except ImportError:  # Slicer before 5.12
        question = _("Landmark Training needs Python packages that are not there yet: {names}. Install them now?")
        if not slicer.util.confirmOkCancelDisplay(question.format(names=", ".join(missing(group)))):
            raise Cancelled from None
        slicer.util.pip_install([*missing(group), "-c", constraints])
        return
    try:
        wanted = packaging.load_requirements(str(_file_of(group)))
        packaging.pip_ensure(wanted, constraints=constraints, requester="LandmarkTraining")
    except RuntimeError as declined:
        raise Cancelled from declined


def _constraints() -> Path:
    """A file that keeps the packages of KEPT at the version that is there."""
    pins = []
    for name in KEPT:
        try:
            pins.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    path = Path(tempfile.mkdtemp(dir=slicer.app.temporaryPath)) / "constraints.txt"
    path.write_text("\n".join(pins), encoding="utf-8")
    return path
