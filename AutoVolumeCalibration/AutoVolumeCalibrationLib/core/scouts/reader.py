"""Read scouts: folders, DICOM files and image files in, stacks out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import Cancelled, InputError
from .dicom import DicomFrame, NotAScout, is_dicom, read_dicom_frames, stacks_from_frames
from .image_file import IMAGE_SUFFIXES, read_image_scouts
from .stack import ScoutStack, group_into_stacks, require_usable
from .volume import cut_if_volume

_logger = logging.getLogger(__name__)

#: Suffixes of DICOM files: such a file is not tried as another format.
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True)
class _Files:
    """The readable files behind one path; ``chosen`` where the user named the file, not a folder."""

    dicom: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    chosen: bool = False


def read_scouts(
    paths: Sequence[str | Path], *, force: bool = False, cancelled: Callable[[], bool] | None = None
) -> list[ScoutStack]:
    """Read scouts from DICOM folders, DICOM files and image files.

    All DICOM frames are pooled, in one series of mixed orientation or in three series, and sorted
    into stacks; several stacks of one plane are all kept. A 3D image, or a DICOM series dense enough
    to be one, is cut into three planes. A folder is searched with all its subfolders: other files in
    it are skipped, and its image files too where it holds DICOM. Image files of a single slice each
    are joined to a stack where they are parallel: that is how unevenly spaced slices are stored.

    Args:
        paths: at least one; a path given twice counts once.
        force: take other modalities than MR too.
        cancelled: asked before each file.

    Returns:
        Stacks of at least two planes in one frame of reference.

    Raises:
        InputError: naming the file, the reason and the remedy.
        Cancelled: where ``cancelled`` says so.
    """
    if not paths:
        raise InputError("no scouts were given", remedy="Name a DICOM folder or image files.")
    found = [_find_files(Path(path)) for path in paths]
    frames: list[DicomFrame] = []
    images: list[ScoutStack] = []
    known: set[Path] = set()
    for files in found:
        frames += _read_frames(_new_paths(files.dicom, known), files.chosen, force, cancelled)
        for path in _new_paths(files.images, known):
            _stop_if(cancelled)
            images += read_image_scouts(path)
    source = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    stacks = [cut for stack in stacks_from_frames(frames, source) for cut in cut_if_volume(stack)] if frames else []
    stacks += _joined(images)
    try:
        require_usable(stacks)
    except InputError as error:
        raise InputError(error.what, source=source, remedy=error.remedy) from error
    return stacks


def _joined(stacks: Sequence[ScoutStack]) -> list[ScoutStack]:
    """Parallel stacks of a single slice each as one stack; slices at one position are repeats, and stay separate."""
    single = [stack for stack in stacks if len(stack.slices) == 1]
    groups = group_into_stacks(stack.slices[0] for stack in single)
    if sum(len(group.slices) for group in groups) < len(single):
        return list(stacks)
    names = {id(stack.slices[0]): stack.name for stack in single}
    joined = {id(group.slices[0]): replace(group, name=names[id(group.slices[0])]) for group in groups}
    kept = [joined.get(id(s.slices[0])) if len(s.slices) == 1 else s for s in stacks]
    return [stack for stack in kept if stack is not None]


def _find_files(path: Path) -> _Files:
    """The readable files at ``path``: DICOM recognised by content, images by name."""
    if path.is_dir():
        return _search_folder(path)
    if not path.exists():
        raise InputError("there is no such file or folder", source=str(path), remedy="Check the path.")
    if not path.is_file():
        raise InputError("this is neither a file nor a folder", source=str(path), remedy="Check the path.")
    if is_dicom(path):
        return _Files(dicom=(path,), chosen=True)
    if path.suffix.lower() in _DICOM_SUFFIXES:
        raise InputError(
            "this is not a DICOM file despite its name", source=str(path), remedy="Export or copy it again."
        )
    return _Files(images=(path,), chosen=True)


def _search_folder(folder: Path) -> _Files:
    everything = sorted(Path(root) / name for root, _, names in os.walk(folder) for name in names)
    files = [path for path in everything if path.is_file()]
    dicom = tuple(path for path in files if is_dicom(path))
    if dicom:
        return _Files(dicom=dicom)
    images = tuple(path for path in files if path.name.lower().endswith(IMAGE_SUFFIXES))
    if not images:
        raise InputError(
            "the folder holds no DICOM or image file" if files else "the folder is empty",
            source=str(folder),
            remedy="Choose the folder with the scouts.",
        )
    return _Files(images=images)


def _read_frames(
    paths: Sequence[Path], chosen: bool, force: bool, cancelled: Callable[[], bool] | None
) -> list[DicomFrame]:
    """Frames of the files; other DICOM objects are skipped in a folder, unless there is nothing else."""
    frames: list[DicomFrame] = []
    skipped: list[NotAScout] = []
    for path in paths:
        _stop_if(cancelled)
        try:
            frames += read_dicom_frames(path, force=force)
        except NotAScout as reason:
            if chosen:
                raise
            skipped.append(reason)
    if skipped and not frames:
        raise skipped[0]
    if skipped:
        _logger.info("skipped %d DICOM files that are not MR scouts", len(skipped))
    return frames


def _new_paths(paths: Sequence[Path], known: set[Path]) -> list[Path]:
    """The paths not yet read, in order; they are added to ``known``."""
    fresh = [path for path in paths if path.resolve() not in known]
    known.update(path.resolve() for path in fresh)
    return fresh


def _stop_if(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise Cancelled
