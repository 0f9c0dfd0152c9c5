"""Installs the Python packages that Slicer does not include: when a step needs them, after asking, never at import.

A constraints file keeps the versions of what is installed already (torch, numpy, SimpleITK).
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ...core.errors import Cancelled

#: Version of torch that the PyTorch extension is asked for.
TORCH = ">=2.2"
KEPT = ("torch", "numpy", "SimpleITK")

#: Distribution -> name to import, where the two differ.
_IMPORTS = {"pytorch-ignite": "ignite"}


@dataclass(frozen=True)
class Requirements:
    """A requirements file in the Resources of a module.

    Attributes:
        module: name of the Slicer module, which the question to the user shows.
        file: name of the file, such as "requirements.txt".
    """

    module: str
    file: str

    @property
    def path(self) -> Path:
        import slicer.util

        return Path(slicer.util.modulePath(self.module)).parent / "Resources" / self.file

    def missing(self) -> list[str]:
        """The lines of the file whose packages cannot be imported."""
        lines = (line.strip() for line in self.path.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line and not line.startswith("#") and not _is_installed(line)]


def ensure(*groups: Requirements) -> None:
    """Install what is missing of ``groups``, after asking.

    Raises:
        Cancelled: the user declined.
    """
    for group in groups:
        missing = group.missing()
        if not missing:
            continue
        if any(_distribution(line) == "torch" for line in missing):
            _install_torch()
        _install(group)
        importlib.invalidate_caches()


def _distribution(requirement: str) -> str:
    return requirement.partition(">")[0].partition("<")[0].partition("=")[0].strip()


def _is_installed(requirement: str) -> bool:
    name = _distribution(requirement)
    return importlib.util.find_spec(_IMPORTS.get(name, name)) is not None


def _install_torch() -> None:
    """Use the PyTorch extension where it is installed: it chooses the build that suits the graphics card."""
    if importlib.util.find_spec("PyTorchUtils") is None:
        return
    import PyTorchUtils

    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH) is None:
        raise Cancelled


def _install(group: Requirements) -> None:
    constraints = str(_write_constraints())
    try:
        from slicer import packaging
    except ImportError:  # Slicer before 5.12
        _install_after_asking(group, constraints)
        return
    try:
        wanted = packaging.load_requirements(str(group.path))
        packaging.pip_ensure(wanted, constraints=constraints, requester=group.module)
    except RuntimeError as declined:
        raise Cancelled from declined


def _install_after_asking(group: Requirements, constraints: str) -> None:
    import slicer.util
    from slicer.i18n import tr as _

    missing = group.missing()
    question = _("{module} needs Python packages that are not installed: {names}. Install them now?")
    if not slicer.util.confirmOkCancelDisplay(question.format(module=group.module, names=", ".join(missing))):
        raise Cancelled
    slicer.util.pip_install([*missing, "-c", constraints])


def _write_constraints() -> Path:
    """A file that pins the packages of KEPT to their installed versions."""
    import slicer

    pins = []
    for name in KEPT:
        try:
            pins.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    path = Path(tempfile.mkdtemp(dir=slicer.app.temporaryPath)) / "constraints.txt"
    path.write_text("\n".join(pins), encoding="utf-8")
    return path
