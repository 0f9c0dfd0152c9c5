"""Plan one study into its folder: what the commands, the batch and the service share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.detection.landmark_model import LandmarkModel
    from ..core.models.anatomies import Loader
    from ..core.workflow.calibration import Calibration

#: File name -> what writes it, given the calibration and a path.
Drawings = Mapping[str, Callable[["Calibration", Path], None]]


@dataclass(frozen=True)
class PlanRequest:
    """How studies are planned; the same for all studies of a batch, and for all that a service receives.

    Attributes:
        protocol: name or file, as ``load_protocol`` takes it; empty: that of the anatomy that each study shows.
        box: name of one of its boxes, its first when None.
        model: name or folder, the current one when None.
        device, backend: as ``load_model`` takes them.
        series: DICOM series to use, as ``read_study`` takes them; the rules when empty.
        force: accept modalities other than MR.
        weights: SHA-256 that the weights of the model may have; any when empty.
    """

    protocol: str = ""
    box: str | None = None
    model: str | None = None
    device: str = "auto"
    backend: str = "auto"
    series: tuple[str, ...] = ()
    force: bool = False
    weights: tuple[str, ...] = ()


def plan_study(
    request: PlanRequest, scouts: Sequence[str], folder: Path, drawings: Drawings | None = None
) -> Calibration:
    """Read the scouts, plan, and write the plan into ``folder``, which is replaced. The model stays loaded.

    Args:
        drawings: to write beside the plan; those of ``choose_drawings`` when None.

    Raises:
        AutoVolumeError: naming the scouts, the model or the folder.
    """
    from ..core.models.anatomies import find_protocol
    from ..core.models.installed_planning import choose, plan_chosen
    from ..core.scouts.reader import read_study

    with claimed_folder(folder, overwrite=True):
        drawings = choose_drawings(folder) if drawings is None else drawings
        started = time.perf_counter()
        prepare(request)
        loaded = time.perf_counter()
        with naming(named(scouts)):
            require_text(scouts)
            study = read_study(scouts, force=request.force, series=request.series)
            read = time.perf_counter()
            protocol = find_protocol(request.protocol) if request.protocol else None
            device, backend = request.device, request.backend
            choice = choose(
                study.stacks, protocol, model=request.model, device=device, backend=backend, load=_loader(request)
            )
            # The request states the weights of its own models, not those of models that may contradict them.
            plan = plan_chosen(study.stacks, choice, device=device, backend=backend, load=warm_model, box=request.box)
        timings = {"read": read - loaded, "load": loaded - started, **plan.timings_s}
        plan = with_total(replace(plan, timings_s=timings), started)
        write_plan(plan, folder, scouts, drawings)
    return plan


def prepare(request: PlanRequest) -> None:
    """Load what all studies of the request need, the model and the libraries; in a process that has them it is quick.

    Raises:
        AutoVolumeError: naming the protocol or the model.
    """
    from ..core.models.anatomies import find_protocol, installed_anatomies, known_protocol, model_for
    from ..core.report import overview  # noqa: F401 - the drawing library takes long to load
    from ..core.scouts import reader  # noqa: F401
    from ..core.workflow import pipeline  # noqa: F401

    load = _loader(request)
    protocol = find_protocol(request.protocol) if request.protocol else known_protocol(request.model)
    if protocol is None:
        installed_anatomies(request.device, request.backend, load)
    else:
        load(request.model or model_for(protocol), request.device, request.backend)


def _loader(request: PlanRequest) -> Loader:
    """``warm_model`` for the models that the request may use."""
    return partial(warm_model, weights=request.weights)


@lru_cache(maxsize=4)
def warm_model(name: str | Path | None, device: str, backend: str, weights: tuple[str, ...] = ()) -> LandmarkModel:
    """``load_model``, once in this process for the studies that follow each other.

    Raises:
        ModelError: the SHA-256 of its weights is none of ``weights``: it was replaced, or differs on this machine.
    """
    from ..core.errors import ModelError
    from ..core.models.bundle import load_model

    model = load_model(name, device, backend)
    if weights and model.sha256 not in weights:
        raise ModelError("has other weights than when the work began", source=model.name, remedy="Start it again.")
    return model


def named(paths: Sequence[str | Path]) -> str:
    """Some paths in a message: the first, and how many more."""
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def choose_drawings(folder: Path, scene: bool = False, report: str | None = None) -> Drawings:
    """What to write into ``folder``: the picture; scene and report if asked for, or present (they show an old plan).

    Args:
        report: its title, None where it was not asked for.
    """
    from ..core.report.overview import draw_overview
    from ..core.report.page import write_page
    from ..core.storage.results import OVERVIEW_FILE, REPORT_FILE, SCENE_FILE

    drawings: dict[str, Callable[[Calibration, Path], None]] = {OVERVIEW_FILE: draw_overview}
    if report is not None or (folder / REPORT_FILE).exists():
        drawings[REPORT_FILE] = partial(write_page, title=report or "")
    if scene or (folder / SCENE_FILE).exists():
        from ..mrml.scene_file import save_scene

        drawings[SCENE_FILE] = save_scene
    return drawings


def write_plan(
    calibration: Calibration, folder: Path, sources: Sequence[Path | str], drawings: Drawings, study: str = ""
) -> None:
    """The files of a plan, all or none; they replace those in ``folder``."""
    from ..core.storage.results import write_results

    write_results(calibration, folder, overwrite=True, sources=sources, study=study, drawings=drawings)


@contextmanager
def claimed_folder(folder: Path, overwrite: bool) -> Iterator[None]:
    """Check and make the output folder before the work; remove it again where the work fails and it was made here.

    An earlier plan in it is moved aside where the work fails: it would look like the one that was wanted. It goes once
    a new plan is there, and stays where the user cancels.

    Raises:
        UsageError: it cannot be made or written, or holds results and ``overwrite`` is False.
    """
    from ..core.storage.results import PLAN_FILES, earlier_plan_aside

    with made_folder(folder, overwrite, PLAN_FILES), earlier_plan_aside(folder):
        yield


@contextmanager
def made_folder(folder: Path, overwrite: bool = True, names: Sequence[str] = ()) -> Iterator[None]:
    """Check and make a folder before the work; remove it again where the work fails, it was made here and is empty.

    Raises:
        UsageError: it cannot be made or written, or holds one of the files ``names`` and ``overwrite`` is False.
    """
    from ..core.files.output_folder import require_place

    made = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        require_place(folder, overwrite, names)
        yield
    except BaseException:
        for path in made:
            with suppress(OSError):  # never made, or not empty any more: not ours to remove
                path.rmdir()
        raise


def require_text(paths: Sequence[str]) -> None:
    """Raise InputError for a path whose bytes are not valid text, as on old file systems: JSON cannot name it."""
    from ..core.errors import InputError

    for path in paths:
        try:
            path.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                "the path is not in UTF-8", source=ascii(path), remedy="Rename it or go through a link."
            ) from error


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Name ``source`` in errors about the input that do not say where it came from."""
    from ..core.errors import InputError

    try:
        yield
    except InputError as error:
        if error.source:
            raise
        raise InputError(error.what, source=source, remedy=error.remedy) from error
    except MemoryError as error:
        raise InputError("not enough memory for it", source=source, remedy="Give fewer or smaller images.") from error


def with_total(calibration: Calibration, started: float) -> Calibration:
    """The same with the time since ``started`` (``time.perf_counter``) as total."""
    return replace(calibration, timings_s={**calibration.timings_s, "total": time.perf_counter() - started})
