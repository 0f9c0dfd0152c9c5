"""Cross-validation by subject: train without some people, measure on them, in turn; resumable after a kill.

The folder holds ``plan.json`` (what is cross-validated: data, folds, settings) and for every fold a run's folder
``fold-NN`` (``run_folder``), with ``errors.json`` once it is trained and measured: such a fold is not trained again,
and one that was under way goes on from its checkpoint. ``cross_validation_report`` tells what comes out.

A fold's weights are the best ones of its run by an error that the people kept back have no part in (nested
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
from ..simulator.slice_planes import SliceSettings
from ..slices.targets import target_settings
from ..training.starting_point import starting_network
from ..training.trainer import best_network, choose_training_device, train
from .fold_data import deal_subjects, load_fold_data
from .fold_measurement import PointError, point_errors

FORMAT = "AutoVolumeCalibration/crossvalidation/1"
PLAN_FILE, ERRORS_FILE = "plan.json", "errors.json"

#: Settings that may differ when a cross-validation goes on: they say how it is computed, not what.
_INDIFFERENT = ("device", "threads", "workers", "picture_steps", "loggers", "mlflow_uri")
_REMEDY = "Cross-validate in another folder."

#: Told (number of the fold from 1, folds, step, steps, line of the log) at each checkpoint.
Progress = Callable[[int, int, int, int, Mapping[str, Any]], None]


@dataclass(frozen=True)
class CrossValidationPlan:
    """What is cross-validated.

    Attributes:
        config: of every fold's run; with a ``base`` it is fine-tuned, and measured beside it.
        datasets: data sets whose subjects are dealt into folds.
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
    """A fold that is done: its number from 1, who was kept back, the step of its weights, its errors on them."""

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
    """Train and measure every fold that ``output`` does not hold yet; gives all, in order.

    Args:
        cancelled: asked after every step; True ends like SIGINT and SIGTERM, with a checkpoint.

    Raises:
        InputError: a data set cannot be read or holds no study.
        UsageError: there are too few subjects, or the folder was begun with another plan.
        Cancelled: the run under way was stopped; the same call goes on.
    """
    if not plan.datasets:
        raise UsageError("there is nothing to deal into folds", remedy="Give --dataset.")
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
    work = _Work(plan, studies, constellation, output, progress, cancelled)
    return [work.fold(number, kept, len(folds)) for number, kept in enumerate(folds, start=1)]


class _Work:
    """The folds of one cross-validation, with what they have in common."""

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
            self.starting = load_model(plan.config.base, self.device.type)

    def fold(self, number: int, kept: frozenset[str], folds: int) -> FoldResult:
        """The fold of this number, from its file or trained and measured."""
        place = self.output / f"fold-{number:02d}"
        if not (place / ERRORS_FILE).exists():
            run = self._train(place, number, kept, folds)
            result = FoldResult(
                number, tuple(sorted(kept)), run.best_weights()["step"], tuple(self._measure(run, kept))
            )
            write_text(place / ERRORS_FILE, json.dumps(_result_as_dict(result)) + "\n")
        return _read_result(place / ERRORS_FILE)

    def _train(self, place: Path, number: int, kept: frozenset[str], folds: int) -> RunFolder:
        others = [study for study in self.studies if subject_of(study) not in kept]
        data = load_fold_data(others, self.plan.labels, self.config, self.constellation)
        network, _ = starting_network(self.config, data.names, target_settings(self.config, SliceSettings()))

        def say(step: int, steps: int, line: Mapping[str, Any]) -> None:
            if self.progress:
                self.progress(number, folds, step, steps, line)

        try:
            return train(self.config, data, place, network=network, resume=True, progress=say, cancelled=self.cancelled)
        except Cancelled as stop:
            raise Cancelled(f"stopped in fold {number} of {folds}; the same command goes on") from stop

    def _measure(self, run: RunFolder, kept: frozenset[str]) -> list[PointError]:
        network = best_network(self.config, run).to(self.device)
        studies = [study for study in self.studies if subject_of(study) in kept]
        targets = target_settings(self.config, SliceSettings())
        return point_errors(network, targets, self.device, studies, self.constellation, self.starting)


def _plan_as_dict(
    plan: CrossValidationPlan, fingerprints: Sequence[str], folds: Sequence[frozenset[str]]
) -> dict[str, Any]:
    """All that the outcome depends on."""
    settings, base = dataclasses.asdict(plan.config), plan.config.base
    return {
        "format": FORMAT,
        "base": read_metadata(model_folder(base))["weights"]["sha256"] if base else None,
        "datasets": list(fingerprints),
        "labels": None if plan.labels is None else str(plan.labels.resolve()),
        "folds": [sorted(kept) for kept in folds],
        "settings": {name: value for name, value in settings.items() if name not in _INDIFFERENT},
    }


def _keep_plan(output: Path, plan: dict[str, Any]) -> None:
    """Write the plan into a new folder; UsageError where the folder was begun with another one."""
    path = output / PLAN_FILE
    # A plan that nothing was trained with yet may be mended, e.g. a misspelt setting.
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
        raise UsageError("does not hold a fold's errors", source=str(path), remedy=remedy) from error
