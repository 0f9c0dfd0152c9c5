"""Find the files that travel with the project: protocols, anatomies, schemas, models."""

from __future__ import annotations

from pathlib import Path

from ..errors import AutoVolumeError

_PACKAGE = Path(__file__).resolve().parents[2]


def resource_path(*parts: str) -> Path:
    """Path of a file or folder below the shared ``Resources`` folder, which exists.

    The folder lies in the package (pip wheel), in ``qt-scripted-modules/Resources/AutoVolumeCalibration``
    (Slicer), or at the root of the repository (source checkout, editable install).

    Raises:
        AutoVolumeError: the folder or the file is missing: the installation is incomplete.
    """
    path = resources_folder(_PACKAGE).joinpath(*parts)
    if not path.exists():
        raise AutoVolumeError(
            "is missing, the installation is incomplete",
            source=str(path),
            remedy="Install AutoVolumeCalibration again.",
        )
    return path


def resources_folder(package: Path) -> Path:
    """The shared ``Resources`` folder that belongs to the folder ``package`` (AutoVolumeCalibrationLib)."""
    candidates = (
        package / "Resources",
        package.parent / "Resources" / "AutoVolumeCalibration",
        package.parents[1] / "Resources",
    )
    for candidate in candidates:
        # Folders named Resources are common (icons, .ui files): ours holds the schemas.
        if (candidate / "Schemas").is_dir():
            return candidate
    raise AutoVolumeError(
        "has no Resources folder, the installation is incomplete",
        source=str(package),
        remedy="Install AutoVolumeCalibration again.",
    )
