"""Installs the Python packages that Slicer does not include: when a step needs them, after asking, never at import.

A constraints file keeps the versions of what is installed already (torch, numpy, SimpleITK).
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ...core.errors import AutoVolumeError, Cancelled, shortened

#: Version of torch that the PyTorch extension is asked for.
TORCH = ">=2.2"
KEPT = ("torch", "numpy", "SimpleITK")

#: Distribution -> name to import, where the two differ.
_IMPORTS = {"pillow": "PIL", "pytorch-ignite": "ignite"}


class InstallationError(AutoVolumeError):
    """Packages cannot be installed, or not be imported afterwards."""


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
        InstallationError: pip failed, or a package cannot be imported afterwards.
    """
    for group in groups:
        missing = group.missing()
        if not missing:
            continue
        with _failures_named(missing):
            if any(_distribution(line) == "torch" for line in missing):
                _install_torch()
            _install(group)
        importlib.invalidate_caches()
        _require_importable(missing)


@contextmanager
def _failures_named(missing: Sequence[str]) -> Iterator[None]:
    """Say what pip could not install; pip's own words are in the Python console."""
    try:
        yield
    except (subprocess.SubprocessError, OSError) as error:
        raise InstallationError(
            f"{shortened(missing)} cannot be installed ({_reason(error)})",
            remedy="Check the internet connection, the proxy and the free disk space, then press the button again; "
            f"or run: PythonSlicer -m pip install {' '.join(_quoted(line) for line in missing)}. "
            "The Python console shows what pip said.",
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"pip ended with code {error.returncode}"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.partition("\n")[0][:200]


def _quoted(requirement: str) -> str:
    """As a command line needs it: a bare ``>`` would write to a file."""
    return f'"{requirement}"' if set("<>=") & set(requirement) else requirement


def _require_importable(installed: Sequence[str]) -> None:
    """Import what was just installed; InstallationError where that fails."""
    for line in installed:
        try:
            importlib.import_module(_import_name(line))
        except (ImportError, OSError) as error:  # OSError: a library that a package brings cannot be loaded
            raise InstallationError(
                f"{_distribution(line)} cannot be loaded after its installation ({str(error)[:200]})",
                remedy="Start Slicer again. If that does not help, run: "
                f"PythonSlicer -m pip install --force-reinstall {_quoted(line)}.",
            ) from error


def _distribution(requirement: str) -> str:
    return requirement.partition(">")[0].partition("<")[0].partition("=")[0].strip()


def _import_name(requirement: str) -> str:
    name = _distribution(requirement)
    return _IMPORTS.get(name, name)


def _is_installed(requirement: str) -> bool:
    return importlib.util.find_spec(_import_name(requirement)) is not None


def _install_torch() -> None:
    """Use the PyTorch extension where it is installed: it chooses the build that suits the graphics card."""
    if importlib.util.find_spec("PyTorchUtils") is None:
        return
    import PyTorchUtils

    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH) is None:
        raise Cancelled


def _install(group: Requirements) -> None:
    from slicer import packaging

    constraints = str(_write_constraints())
    wanted = packaging.load_requirements(str(group.path))
    try:
        packaging.pip_ensure(wanted, constraints=constraints, requester=group.module)
    except RuntimeError as declined:
        raise Cancelled from declined


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
