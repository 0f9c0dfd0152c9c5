"""Write a plan that was corrected in a scene into a folder, as the command line does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ...core.files.resources import resource_path
from ...core.report.overview import draw_overview
from ...core.report.page import write_page
from ...core.storage.results import OVERVIEW_FILE, REPORT_FILE, SCENE_FILE, write_results
from ...core.workflow.calibration import Calibration
from ..scene_file import save_scene

PROTOCOL_FILE = "protocol.json"


def save_plan(
    calibration: Calibration,
    folder: Path,
    *,
    study: str,
    with_picture: bool,
    with_scene: bool,
    sources: Sequence[Path | str] = (),
) -> list[Path]:
    """Write the files of a plan, all or none, replacing those of the same names; gives their paths.

    A protocol that is not shipped is copied too, so that the folder can be planned again elsewhere.

    Args:
        study: its name, without patient data.
        sources: the scouts as they were given, to find them again.

    Raises:
        UsageError: the folder cannot be written.
    """
    drawings: dict[str, Callable[[Calibration, Path], None]] = {}
    written = calibration
    source = calibration.protocol.source
    if not source.resolve().is_relative_to(resource_path("Protocols").resolve()):

        def copy_protocol(_calibration: Calibration, path: Path) -> None:
            shutil.copyfile(source, path)

        drawings[PROTOCOL_FILE] = copy_protocol
        written = replace(calibration, protocol=replace(calibration.protocol, source=folder / PROTOCOL_FILE))
    if with_picture:
        drawings[OVERVIEW_FILE] = draw_overview
    if (folder / REPORT_FILE).exists():
        # It would show an old plan.
        drawings[REPORT_FILE] = write_page
    if with_scene:
        # The plan as it is: the copy of its protocol only exists when all files do.
        drawings[SCENE_FILE] = lambda _calibration, path: save_scene(calibration, path, study=study)
    return write_results(written, folder, overwrite=True, sources=sources, study=study, drawings=drawings)
