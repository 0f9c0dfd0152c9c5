"""Python packages that Slicer does not bring along, installed in the slot that needs them, never at import.

Planning by hand needs two small ones; only the network needs torch. What is there already (torch, numpy,
SimpleITK) stays as it is: pip is told so by a constraints file.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import slicer
import slicer.util
from slicer.i18n import tr as _

from ..core.errors import Cancelled

#: Requirement files in the module's Resources.
PLANNING, NETWORK, PICTURE = "requirements.txt", "requirements-network.txt", "requirements-picture.txt"

TORCH = ">=2.2"
KEPT = ("torch", "numpy", "SimpleITK")


def ensure(*groups: str) -> None:
    """Install what is missing of the requirement files ``groups``, after asking.

    Raises:
        Cancelled: the user declined.
    """
    for group in groups:
        if not missing(group):
            continue
        if group == NETWORK:
            _ensure_torch()
        _install(group)
        importlib.invalidate_caches()


def missing(group: str) -> list[str]:
    """The requirements of a group whose packages cannot be imported."""
    return [line for line in _lines(group) if importlib.util.find_spec(_import_name(line)) is None]


def first_run_text() -> str:
    """What the first Calibrate will download, empty where everything is there."""
    if not missing(NETWORK):
        return ""
    return _(
        "The first calibration installs PyTorch and MONAI: about 0.3 GB, with an NVIDIA card up to 3 GB, "
        "a few minutes. Placing points by hand needs none of it."
    )


def _lines(group: str) -> list[str]:
    text = _path(group).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _path(group: str) -> Path:
    return Path(slicer.util.modulePath("AutoVolumeCalibration")).parent / "Resources" / group


def _import_name(requirement: str) -> str:
    return requirement.partition(">")[0].partition("<")[0].partition("=")[0].strip()


def _ensure_torch() -> None:
    """Through the PyTorch extension where it is there: it chooses the build that suits the graphics card."""
    if importlib.util.find_spec("PyTorchUtils") is None or importlib.util.find_spec("torch") is not None:
        return
    import PyTorchUtils

    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH) is None:
        raise Cancelled


def _install(group: str) -> None:
    constraints = str(_constraints())
    try:
        from slicer import packaging
    except ImportError:  # Slicer before 5.12
        _install_after_asking(missing(group), constraints)
        return
    try:
        packaging.pip_ensure(
            packaging.load_requirements(str(_path(group))), constraints=constraints, requester="AutoVolumeCalibration"
        )
    except RuntimeError as declined:
        raise Cancelled from declined


def _install_after_asking(requirements: Sequence[str], constraints: str) -> None:
    question = _("Auto Volume Calibration needs Python packages that are not there yet: {names}. Install them now?")
    if not slicer.util.confirmOkCancelDisplay(question.format(names=", ".join(requirements))):
        raise Cancelled
    slicer.util.pip_install([*requirements, "-c", constraints])


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
