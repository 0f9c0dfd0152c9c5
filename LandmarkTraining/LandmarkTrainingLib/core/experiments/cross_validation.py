"""Cross-validation by subject: train without some subjects and measure on them, in turn; resumable after a kill.

The folder holds ``plan.json`` (what is cross-validated: data, folds, settings) and for every fold a run's folder
``fold-NN`` (``run_folder``), with ``errors.json`` once it is trained and measured: such a fold is not trained again,
and an interrupted one resumes from its checkpoint. ``cross_validation_report`` writes the results.

A fold's weights are the best ones of its run by an error in which the held-out subjects have no part (nested
cross-validation, Varma and Simon 2006, BMC Bioinformatics 7:91; see ``fold_data``).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from AutoVolumeCalibrationLib.core.anatomy.constellation import Constellation
from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
from AutoVolumeCalibrationLib.core.detection.landmark_model import LandmarkModel
from AutoVolumeCalibrationLib.core.errors import Cancelled, UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json
from AutoVolumeCalibrationLib.core.files.output_folder import require_place
from AutoVolumeCalibrationLib.core.models.bundle import load_model, read_metadata
from AutoVolumeCalibrationLib.core.models.store import model_folder
from AutoVolumeCalibrationLib.core.storage.dataset import LabelledStudy

from ..config import TrainingConfig
from ..datasets.frozen_set import dataset_fingerprint, learnt_subjects
from ..datasets.reading import read_dataset, subject_of
from ..runs.run_folder import RunFolder
from ..slices.targets import slice_settings, target_settings
from ..training.starting_point import starting_network
from ..training.trainer import best_network, choose_training_device, train
from .fold_data import deal_subjects, load_fold_data
from .fold_measurement import PointError, point_errors

FORMAT = "AutoVolumeCalibration/crossvalidation/1"
PLAN_FILE, ERRORS_FILE = "plan.json", "errors.json"

#: Settings that may differ on resume: they do not affect the result.
_INDIFFERENT = ("device", "threads", "workers", "picture_steps", "loggers", "mlflow_uri")
_REMEDY = "Cross-validate in another folder."

#: Called with (number of the fold from 1, folds, step, steps, line of the log) at each checkpoint.
Progress = Callable[[int, int, int, int, Mapping[str, Any]], None]


@dataclass(frozen=True)
class CrossValidationPlan:
    """Settings, data and folds of a cross-validation.

    Attributes:
        config: of every fold's run; with a ``base`` that model is fine-tuned, and measured too.
        datasets: data sets whose subjects are split into folds.
        labels: label maps to simulate more scouts from (``config.study_fraction``).
        folds: how many; None: ``run_request.FOLDS``, or as many as there are subjects.
        leave_one_out: as many folds as subjects.
    """

    config: TrainingConfig
    datasets: tuple[Path, ...]
    labels: Path | None = None
    folds: int | None = None
    leave_one_out: bool = False


@dataclass(frozen=True)
class FoldResult:
    """A finished fold: its number from 1, the held-out subjects, the step of its weights, its errors on them."""

    number: int
    subjects: tuple[str, ...]
    step: int
    errors: tuple[PointError, ...]


def cross_validate(
    plan: CrossValidationPlan,
    output: Path,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[FoldResult]:
    """Train and measure every fold that ``output`` does not hold yet; returns all, in order.

    Args:
        cancelled: called after every step; True ends like SIGINT and SIGTERM, with a checkpoint.

    Raises:
        InputError: a data set cannot be read or holds no study.
        UsageError: there are too few subjects, or the folder was begun with another plan.
        Cancelled: the present run was stopped; the same call resumes it.
    """
    if not plan.datasets:
        raise UsageError("no data are named that could be split into folds", remedy="Name a data set.")
    fingerprints = [dataset_fingerprint(folder) for folder in plan.datasets]
    studies = [study for folder in plan.datasets for study in read_dataset(folder)]
    constellation, base = load_protocol(plan.config.protocol).constellation, plan.config.base
    folds = deal_subjects(
        studies,
        constellation.names,
        folds=plan.folds,
        leave_one_out=plan.leave_one_out,
        seed=plan.config.seed,
        learnt_before=learnt_subjects(model_folder(base)) if base else frozenset(),
    )
    _keep_plan(output, _plan_as_dict(plan, fingerprints, folds))
    work = _FoldRunner(plan, studies, constellation, output, progress, cancelled)
    return [work.fold(number, held_out, len(folds)) for number, held_out in enumerate(folds, start=1)]


class _FoldRunner:
    """Trains and measures the folds of one cross-validation."""

    def __init__(
        self,
        plan: CrossValidationPlan,
        studies: Sequence[LabelledStudy],
        constellation: Constellation,
        output: Path,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.plan, self.config, self.studies, self.constellation = plan, plan.config, studies, constellation
        self.output, self.progress, self.cancelled = output, progress, cancelled
        self.device = choose_training_device(plan.config.device)
        self.starting: LandmarkModel | None = None
        if plan.config.base:
            self.starting = load_model(plan.config.base, self.device.type, "torch")

    def fold(self, number: int, held_out: frozenset[str], folds: int) -> FoldResult:
        """The fold of this number, from its file or trained and measured."""
        folder = self.output / f"fold-{number:02d}"
        if not (folder / ERRORS_FILE).exists():
            run = self._train(folder, number, held_out, folds)
            result = FoldResult(
                number, tuple(sorted(held_out)), run.best_weights()["step"], tuple(self._measure(run, held_out))
            )
            write_text(folder / ERRORS_FILE, json.dumps(_result_as_dict(result)) + "\n")
        return _read_result(folder / ERRORS_FILE)

    def _train(self, folder: Path, number: int, held_out: frozenset[str], folds: int) -> RunFolder:
        others = [study for study in self.studies if subject_of(study) not in held_out]
        data = load_fold_data(others, self.plan.labels, self.config, self.constellation)
        network, _ = starting_network(
            self.config, data.names, target_settings(self.config, slice_settings(self.config))
        )

        def report(step: int, steps: int, line: Mapping[str, Any]) -> None:
            if self.progress:
                self.progress(number, folds, step, steps, line)

        try:
            return train(
                self.config, data, folder, network=network, resume=True, progress=report, cancelled=self.cancelled
            )
        except Cancelled as stop:
            raise Cancelled(f"stopped in fold {number} of {folds}; it can be resumed") from stop

    def _measure(self, run: RunFolder, held_out: frozenset[str]) -> list[PointError]:
        network = best_network(self.config, run).to(self.device)
        studies = [study for study in self.studies if subject_of(study) in held_out]
        targets = target_settings(self.config, slice_settings(self.config))
        return point_errors(network, targets, self.device, studies, self.constellation, self.starting)


def _plan_as_dict(
    plan: CrossValidationPlan, fingerprints: Sequence[str], folds: Sequence[frozenset[str]]
) -> dict[str, Any]:
    """Everything that the result depends on."""
    settings, base = dataclasses.asdict(plan.config), plan.config.base
    return {
        "format": FORMAT,
        "base": read_metadata(model_folder(base))["weights"]["sha256"] if base else None,
        "datasets": list(fingerprints),
        "labels": None if plan.labels is None else str(plan.labels.resolve()),
        "folds": [sorted(held_out) for held_out in folds],
        "settings": {name: value for name, value in settings.items() if name not in _INDIFFERENT},
    }


def _keep_plan(output: Path, plan: dict[str, Any]) -> None:
    """Write the plan into a new folder; UsageError where the folder was begun with another one."""
    path = output / PLAN_FILE
    # Before the first checkpoint the plan may still be corrected, e.g. a misspelt setting.
    if path.exists() and any(output.glob("fold-*/checkpoint.pt")):
        if read_json(path, UsageError, _REMEDY) != json.loads(json_text(plan)):
            raise UsageError("was begun with other data, folds or settings", source=str(path), remedy=_REMEDY)
        return
    require_place(output, overwrite=True)
    write_text(path, json_text(plan))


def _result_as_dict(result: FoldResult) -> dict[str, Any]:
    columns = [field.name for field in dataclasses.fields(PointError)]
    rows = [list(dataclasses.astuple(error)) for error in result.errors]
    head = {"number": result.number, "subjects": list(result.subjects), "step": result.step}
    return {"format": FORMAT, **head, "columns": columns, "errors": rows}


def _read_result(path: Path) -> FoldResult:
    remedy = "Delete the file: the fold is measured again."
    content = read_json(path, UsageError, remedy)
    try:
        errors = tuple(PointError(*row) for row in content["errors"])
        return FoldResult(content["number"], tuple(content["subjects"]), content["step"], errors)
    except (LookupError, TypeError) as error:
        raise UsageError("does not hold the errors of a fold", source=str(path), remedy=remedy) from error
