"""The engine of the window, on ``LandmarkTrainingLib.core``. What is imported here is imported when it is asked for."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from AutoVolumeCalibrationLib.core.errors import AutoVolumeError, ModelError, ProtocolError
from AutoVolumeCalibrationLib.core.models.store import DEFAULT_ANATOMY, model_folders

from ..core.datasets.findings import Finding
from ..core.runs.run_process import command_line
from .engine import Comparison, DatasetSize

#: Measures of a comparison by short names; ``core.evaluation.case_measures`` says what they are.
_TITLES = {
    "rotation_deg": "Rotation of the box, deg",
    "center_mm": "Centre of the box, mm",
    "face_mm": "Worst face, mm",
    "iou": "Overlap of the boxes",
    "in_plane_mm": "In-plane error, mm",
    "landmark_3d_mm": "3D error, mm",
}


class CoreEngine:
    """See ``engine.TrainingEngine``."""

    def size(self, folder: Path) -> DatasetSize:
        try:
            from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy, study_folder, study_names

            from ..core.datasets.reading import read_provenance, subject_of

            names = study_names(folder)
            studies = [LabelledStudy(name, (), (), read_provenance(study_folder(folder, name))) for name in names]
        except AutoVolumeError as error:
            return DatasetSize(0, 0, str(error))
        except ModuleNotFoundError as error:  # the scene came from another Slicer, where the packages are installed
            return DatasetSize(0, 0, _("Check the data first: {name} is not installed yet.").format(name=error.name))
        return DatasetSize(len(studies), len({subject_of(study) for study in studies}))

    def check(self, folder: Path, protocol: str) -> Sequence[Finding]:
        from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol

        from ..core.datasets.check import check_dataset

        return check_dataset(folder, load_protocol(protocol))

    def command(self, arguments: Sequence[str]) -> list[str]:
        # In Slicer sys.executable may be the application; PythonSlicer is on its path, and is plain Python.
        return command_line(shutil.which("PythonSlicer") or sys.executable, arguments)

    def models(self) -> list[str]:
        return list(model_folders())

    def base_model(self, protocol: str | None = None) -> str:
        from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol

        from ..core.runs.base_model import base_model

        try:
            return base_model(load_protocol(protocol) if protocol else None)
        except (ModelError, ProtocolError, ModuleNotFoundError):  # a package of the checks may not be installed yet
            return "?"

    def comparison(self, folder: Path) -> Comparison:
        from ..core.experiments.comparison_report import JSON_FILE, read_comparison

        return comparison_of(read_comparison(folder / JSON_FILE))

    def consequence(self) -> str:
        from ..core.experiments.promotion import CONSEQUENCE

        return CONSEQUENCE

    def promote(self, bundle: Path, comparison_folder: Path, *, anyway: bool) -> str:
        from ..core.experiments.comparison_report import JSON_FILE
        from ..core.experiments.promotion import promote

        return promote(bundle, comparison_folder / JSON_FILE, anyway=anyway).name

    def previous_model(self, protocol: str | None = None) -> str:
        from ..core.experiments.promotion import previous_model

        try:
            return previous_model(_anatomy_of(protocol)) or ""
        except (ModelError, ProtocolError):
            return ""

    def roll_back(self, protocol: str | None = None) -> str:
        from ..core.experiments.promotion import roll_back

        return roll_back(_anatomy_of(protocol))


def _anatomy_of(protocol: str | None) -> str:
    """The anatomy of a protocol, by its name or file; None: the default one."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol

    return (load_protocol(protocol).anatomy if protocol else "") or DEFAULT_ANATOMY


def comparison_of(data: Mapping[str, Any]) -> Comparison:
    """The content of a ``comparison.json`` as the window shows it: the first model is the current one."""
    from ..core.experiments.promotion import may_override

    models = data["models"][:2]
    rows = [
        (_(title), *(_measured(model["measures"].get(name)) for model in models)) for name, title in _TITLES.items()
    ]
    rows.append((_("Cases"), *(str(model["cases"]) for model in models)))
    rows.append((_("Failed plans"), *(str(model.get("failed_plans", "-")) for model in models)))
    verdict = models[-1]["verdict"] or {}
    if "outcome" not in verdict:
        return Comparison(tuple(rows), False, _("Compare the models again: the verdict on the boxes is missing."))
    title, *evidence = verdict["reasons"]
    return Comparison(tuple(rows), verdict["better"], title, tuple(evidence), may_override(verdict["outcome"]))


def _measured(measured: Mapping[str, float | None] | None) -> str:
    """Median with its interval, where they are known."""
    if not measured or measured["median"] is None:
        return "-"
    if measured["low"] is None or measured["high"] is None:
        return f"{measured['median']:.2f}"
    return f"{measured['median']:.2f} ({measured['low']:.2f} - {measured['high']:.2f})"
