"""Read scouts: folders, DICOM files and image files in; stacks out, and a list of what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import Cancelled, InputError
from .dicom import DicomFrame, read_dicom_headers, require_one_examination, stacks_from_frames, with_pixels
from .dicom_series import FoundSeries, found_series
from .folder_search import FoundFiles, find_files
from .image_file import read_image_scouts
from .label_images import is_label_image
from .selection import Choice, choose
from .series import IMAGE, LABELS, OTHER, NotAScout, ScoutStudy, SeriesInfo
from .stack import ScoutStack, group_into_stacks, require_usable
from .volume import cut_if_volume, cut_thick_volume

Cancel = Callable[[], bool] | None


@dataclass(frozen=True, eq=False)
class _Arrived:
    """All that the paths lead to: frames whose pixels are not read yet, image stacks, and what is something else."""

    frames: tuple[DicomFrame, ...]
    images: tuple[tuple[Path, list[ScoutStack]], ...]
    others: tuple[SeriesInfo, ...]
    notes: tuple[str, ...]


def read_scouts(
    paths: Sequence[str | Path],
    *,
    force: bool = False,
    series: str | Sequence[str] | None = None,
    cancelled: Cancel = None,
) -> list[ScoutStack]:
    """The stacks of ``read_study``."""
    return list(read_study(paths, force=force, series=series, cancelled=cancelled).stacks)


def read_study(
    paths: Sequence[str | Path],
    *,
    force: bool = False,
    series: str | Sequence[str] | None = None,
    cancelled: Cancel = None,
) -> ScoutStudy:
    """Read the scouts among DICOM folders, DICOM files and image files.

    A folder is searched with all its subfolders, linked ones included. All DICOM series are listed by their headers,
    and of these the localizer is taken, the latest complete one where it was repeated (``selection.choose``); other
    series are not read further. A 3D image, or a DICOM series dense enough to be one, is cut into three planes; so is
    a stack of thick slices of one plane where there is no other. Other files in a folder are skipped, and its image
    files too where it holds DICOM. Image files of a single slice each are joined to a stack where they are parallel:
    that is how unevenly spaced slices are stored.

    Args:
        paths: at least one; a path given twice counts once.
        force: take other modalities than MR too.
        series: numbers, UIDs or descriptions of the DICOM series to use, whatever they are; the rules when None.
        cancelled: asked before each file.

    Raises:
        InputError: naming the file, the reason and the remedy; among others where the images come from several
            patients or studies, or show fewer than two planes.
        Cancelled: where ``cancelled`` says so.
    """
    source = _source(paths)
    arrived = _arrived(paths, force, cancelled)
    require_one_examination(arrived.frames, source)
    found = found_series(arrived.frames)
    wanted = [series] if isinstance(series, str) else list(series or ())
    with _naming(source):
        choice, stacks = _chosen_stacks(found, wanted, source, cancelled)
        stacks += _joined([stack for _, stacks_of_file in arrived.images for stack in stacks_of_file])
        if len({stack.plane for stack in stacks}) == 1:
            stacks = [cut for stack in stacks for cut in cut_thick_volume(stack)]
        require_usable(stacks)
    infos = (*choice.infos, *_image_infos(arrived), *arrived.others)
    return ScoutStudy(tuple(stacks), infos, (*choice.notes, *arrived.notes))


def list_series(
    paths: Sequence[str | Path],
    *,
    force: bool = False,
    series: str | Sequence[str] | None = None,
    cancelled: Cancel = None,
) -> tuple[SeriesInfo, ...]:
    """What the paths lead to, without reading a DICOM pixel: also where ``read_study`` refuses to plan on it.

    Args, Raises: as ``read_study``, but any series will do.
    """
    arrived = _arrived(paths, force, cancelled)
    wanted = [series] if isinstance(series, str) else list(series or ())
    choice = choose(found_series(arrived.frames), wanted)
    return (*choice.infos, *_image_infos(arrived), *arrived.others)


def _chosen_stacks(
    found: Sequence[FoundSeries], wanted: Sequence[str], source: str, cancelled: Cancel
) -> tuple[Choice, list[ScoutStack]]:
    """The choice, and the stacks of the series in it with their pixels.

    That a series is a label image shows in its pixels only: the choice is then made again without it.
    """
    series = list(found)
    while True:
        choice = choose(series, wanted)
        stacks: dict[str, list[ScoutStack]] = {}
        for one in choice.used:
            stacks[one.uid] = stacks_from_frames(_with_pixels(one, cancelled), source)
        labels = {} if wanted else {uid for uid, own in stacks.items() if _are_labels(own)}
        if not labels:
            return choice, [cut for own in stacks.values() for stack in own for cut in cut_if_volume(stack)]
        series = [replace(one, kind=LABELS) if one.uid in labels else one for one in series]


def _with_pixels(series: FoundSeries, cancelled: Cancel) -> list[DicomFrame]:
    """The frames of a series, read completely."""
    of_files: dict[Path, list[DicomFrame]] = {}
    for frame in series.frames:
        of_files.setdefault(frame.path, []).append(frame)
    frames: list[DicomFrame] = []
    for members in of_files.values():
        _stop_if(cancelled)
        frames += with_pixels(members)
    return [replace(frame, frame_of_reference=series.frame_of_reference) for frame in frames]


def _are_labels(stacks: Iterable[ScoutStack]) -> bool:
    return is_label_image([s.pixels for stack in stacks for s in stack.slices])


def _arrived(paths: Sequence[str | Path], force: bool, cancelled: Cancel) -> _Arrived:
    if not paths:
        raise InputError("no scouts were given", remedy="Name a DICOM folder or image files.")
    found = [find_files(Path(path)) for path in paths]
    frames: list[DicomFrame] = []
    images: list[tuple[Path, list[ScoutStack]]] = []
    others: list[SeriesInfo] = []
    skipped: list[NotAScout] = []
    known: set[Path] = set()
    for files in found:
        for path in _new_paths((*files.dicom, *files.images), known):
            _stop_if(cancelled)
            try:
                if path in files.dicom:
                    frames += read_dicom_headers(path, force=force)
                else:
                    images.append((path, read_image_scouts(path)))
            except NotAScout as reason:
                if files.chosen:
                    raise
                skipped.append(reason)
                others.append(_other(path, reason.what))
        others += [_other(path, "lies beside DICOM files, which are used") for path in files.beside]
    if skipped and not frames and not images:
        raise skipped[0]
    return _Arrived(tuple(frames), tuple(images), tuple(others), _notes(found, others))


def _notes(found: Iterable[FoundFiles], others: Sequence[SeriesInfo]) -> tuple[str, ...]:
    notes = []
    if others:
        notes.append(f"{_count(len(others), 'file')} left out: not scouts.")
    dangling = sum(len(files.dangling) for files in found)
    if dangling:
        notes.append(f"{_count(dangling, 'link')} in the folder lead nowhere: a series may be missing.")
    return tuple(notes)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _other(path: Path, reason: str) -> SeriesInfo:
    return SeriesInfo(str(path), path.name, "", path.name, OTHER, (), False, reason, (path,))


def _image_infos(arrived: _Arrived) -> list[SeriesInfo]:
    return [
        SeriesInfo(
            str(path),
            path.name,
            "",
            path.name,
            IMAGE,
            tuple((stack.plane, len(stack.slices)) for stack in stacks),
            True,
            "an image file",
            (path,),
        )
        for path, stacks in arrived.images
    ]


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


def _source(paths: Sequence[str | Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more" if paths else ""


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """Name the paths in errors that do not say what they are about, or only the stack."""
    try:
        yield
    except InputError as error:
        if error.source and Path(error.source).exists():
            raise
        raise InputError(error.what, source=source, remedy=error.remedy) from error


def _new_paths(paths: Sequence[Path], known: set[Path]) -> list[Path]:
    """The paths not yet read, in order; they are added to ``known``."""
    fresh = [path for path in paths if path.resolve() not in known]
    known.update(path.resolve() for path in fresh)
    return fresh


def _stop_if(cancelled: Cancel) -> None:
    if cancelled is not None and cancelled():
        raise Cancelled
