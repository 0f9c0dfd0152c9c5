"""The files behind the paths that the user gave: DICOM is recognised by its content, images by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files.regular_file import require_there
from .dicom import is_dicom
from .image_file import IMAGE_SUFFIXES

#: Suffixes of DICOM files: such a file is not tried as another format.
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True)
class FoundFiles:
    """The readable files behind one path.

    Attributes:
        dicom, images: the files; images that lie in a folder beside DICOM are in ``beside`` instead.
        chosen: the user named the file, not a folder.
        dangling: links in the folder that lead nowhere.
    """

    dicom: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    chosen: bool = False
    dangling: tuple[Path, ...] = ()


def find_files(path: Path) -> FoundFiles:
    """The readable files at ``path``.

    Raises:
        InputError: there is nothing, nothing readable, or a folder in it may not be entered.
    """
    if path.is_dir():
        return _search_folder(path)
    if path.is_symlink() and not path.exists():
        raise InputError("this link leads nowhere", source=str(path), remedy="Mount what it leads to, or remove it.")
    require_there(path)
    if not path.is_file():
        raise InputError("this is neither a file nor a folder", source=str(path), remedy="Check the path.")
    if is_dicom(path):
        return FoundFiles(dicom=(path,), chosen=True)
    if path.suffix.lower() in _DICOM_SUFFIXES:
        raise InputError(
            "this is not a DICOM file despite its name", source=str(path), remedy="Export or copy it again."
        )
    return FoundFiles(images=(path,), chosen=True)


def _search_folder(folder: Path) -> FoundFiles:
    everything = sorted(_walk(folder))
    files = [path for path in everything if path.is_file()]
    dangling = tuple(path for path in everything if path.is_symlink() and not path.exists())
    dicom = tuple(path for path in files if is_dicom(path))
    images = tuple(path for path in files if path.name.lower().endswith(IMAGE_SUFFIXES))
    if dicom:
        return FoundFiles(dicom=dicom, beside=images, dangling=dangling)
    if not images:
        raise InputError(_why_empty(files, dangling), source=str(folder), remedy="Choose the folder with the scouts.")
    return FoundFiles(images=images, dangling=dangling)


def _why_empty(files: list[Path], dangling: tuple[Path, ...]) -> str:
    if files:
        return "the folder holds no DICOM or image file"
    return "the folder holds only links that lead nowhere" if dangling else "the folder is empty"


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, linked folders included, each folder once: links may form a circle.

    Raises:
        InputError: a folder may not be read. A series in it would be missing without a word.
    """

    def refuse(error: OSError) -> None:
        raise InputError(
            f"the folder cannot be read ({error.strerror or error})",
            source=str(error.filename or folder),
            remedy="Check its access rights.",
        ) from error

    entered: set[Path] = set()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = Path(root).resolve()
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        yield from (Path(root) / name for name in names)
