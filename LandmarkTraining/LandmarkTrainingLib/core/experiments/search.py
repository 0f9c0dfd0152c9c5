"""Hyper-parameter search with Optuna: one training per trial, pruned early if unpromising, resumable after a kill.

The folder holds ``search.json`` (space, settings, seed), ``trials.sqlite`` (Optuna's storage), ``trials/NNN`` (a run
folder each), ``trials.md`` (the table) and ``best.json`` (settings of the best trial, a training configuration).

A trial that was interrupted resumes in its own folder. Values are drawn by the tree-structured
Parzen estimator (Bergstra et al., NIPS 2011) from a seed that depends on the trial's number alone; a trial is pruned
where its best error so far is worse than the median of the others at that step (Golovin et al., KDD 2017).
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from AutoVolumeCalibrationLib.core.errors import Cancelled, ModelError, UsageError
from AutoVolumeCalibrationLib.core.files.atomic_write import write_text
from AutoVolumeCalibrationLib.core.files.json_files import json_text, read_json
from AutoVolumeCalibrationLib.core.files.output_folder import require_place

from ..config import TrainingConfig
from ..evaluation.metrics import markdown_table
from ..runs.run_lock import exclusive_lock
from .search_space import SearchSpace, configured, space_from_dict

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

#: Called with (step, error in mm) at each checkpoint; True prunes the trial.
Report = Callable[[int, float], bool]

#: Trains with the settings in the folder, from its checkpoint if it has one; returns the lowest error in mm.
#: If ``Report`` prunes it, it ends early by returning or by ``Cancelled``.
Train = Callable[[TrainingConfig, Path, Report], float]

#: Number of trials that run to their end before any is pruned, and share of its steps before a trial can be pruned.
UNPRUNED_TRIALS, UNPRUNED_PART = 5, 0.25

FINISHED, PRUNED, FAILED = "finished", "pruned", "failed"
_FORMAT = "AutoVolumeCalibration/search/1"
_FOLDER, _MESSAGE = "folder", "message"


@dataclass(frozen=True)
class SearchPlan:
    """The settings of a search: ``space`` as in ``search_space``, on top of ``base``; ``seed`` of the draws."""

    space: Mapping[str, Any]
    base: TrainingConfig
    seed: int = 0


@dataclass(frozen=True)
class TrialRecord:
    """One trial: its folder's name, how it ended, its lowest error (or None), values and message."""

    name: str
    state: str
    error_mm: float | None
    values: Mapping[str, Any]
    message: str = ""


def search(
    folder: Path,
    train: Train,
    trials: int,
    plan: SearchPlan | None = None,
    *,
    progress: Callable[[TrialRecord], None] | None = None,
) -> list[TrialRecord]:
    """Run trials until there are ``trials`` in all; returns them in their order.

    A trial with incompatible settings, or whose network exceeds the memory, counts as failed.

    Args:
        plan: None to resume with the folder's own.
        progress: called with every trial that ended.

    Raises:
        UsageError: the folder holds a search with another plan or none, or another process is searching in it; Optuna
            is not installed.
        InputError: the data cannot be read; the trial resumes next time.
        Cancelled: the present training was stopped; the search can be resumed.
    """
    _require_optuna()
    plan = _kept_plan(folder, plan)
    space = space_from_dict(plan.space, plan.base, str(folder / "search.json"))
    with exclusive_lock(folder):
        study = _open_study(folder, plan.base.steps)
        _requeue_stopped(study)
        while len(_records(study, space)) < trials:
            study.sampler = _sampler(plan.seed, len(study.trials))
            record = _run_trial(study, space, plan.base, folder, train)
            _write_tables(folder, _records(study, space), plan.base)
            if progress:
                progress(record)
        return _records(study, space)


def best_trial(records: list[TrialRecord]) -> TrialRecord | None:
    """The finished trial with the lowest error, None where none has finished."""
    finished = [record for record in records if record.state == FINISHED]
    return min(finished, key=_error_or_infinity, default=None)


def _error_or_infinity(record: TrialRecord) -> float:
    return math.inf if record.error_mm is None else record.error_mm


def trials_table(records: list[TrialRecord]) -> str:
    """The trials as a Markdown table, the lowest error first."""
    names = list(dict.fromkeys(name for record in records for name in record.values))
    ordered = sorted(records, key=lambda record: (record.state != FINISHED, _error_or_infinity(record)))
    rows = [
        [
            record.name,
            record.state,
            "-" if record.error_mm is None else f"{record.error_mm:.2f}",
            *(_shown(record.values[name]) if name in record.values else "-" for name in names),
            record.message or "-",
        ]
        for record in ordered
    ]
    return markdown_table(["trial", "state", "median error mm", *names, "message"], rows)


def _run_trial(
    study: optuna.Study, space: SearchSpace, base: TrainingConfig, folder: Path, train: Train
) -> TrialRecord:
    from optuna.trial import TrialState

    trial = study.ask()
    if _FOLDER not in trial.user_attrs:
        trial.set_user_attr(_FOLDER, f"{_folders_taken(study):03d}")
    run = folder / "trials" / trial.user_attrs[_FOLDER]
    pruned = False

    def report(step: int, error_mm: float) -> bool:
        nonlocal pruned
        if math.isfinite(error_mm):
            trial.report(error_mm, step)
            pruned = pruned or trial.should_prune()
        return pruned

    error, state = None, TrialState.FAIL
    try:
        error = train(space.suggest(trial, base), run, report)
        state = TrialState.COMPLETE if math.isfinite(error) else TrialState.FAIL
    except Cancelled:
        if not pruned:
            raise  # the trial stays open and resumes next time
    except (UsageError, ModelError, torch.cuda.OutOfMemoryError) as reason:  # errors of the settings, not of the data
        trial.set_user_attr(_MESSAGE, str(reason).splitlines()[0])
        logger.warning("trial %s failed: %s", run.name, reason)
    if pruned:
        error, state = None, TrialState.PRUNED
    study.tell(trial, error if state == TrialState.COMPLETE else None, state=state)
    return _record(study.trials[trial.number], space)


def _open_study(folder: Path, steps: int) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS, n_warmup_steps=int(UNPRUNED_PART * steps))
    storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / 'trials.sqlite').resolve().as_posix()}")
    return optuna.create_study(storage=storage, study_name="search", pruner=pruner, load_if_exists=True)


def _sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    """A sampler for one trial: draws depend on its number, not on how often the search was resumed."""
    import optuna

    return optuna.samplers.TPESampler(seed=int(np.random.SeedSequence((seed, number)).generate_state(1)[0]))


def _requeue_stopped(study: optuna.Study) -> None:
    """Put interrupted trials first in the queue, in their folders."""
    from optuna.trial import TrialState

    queued = {trial.user_attrs.get(_FOLDER) for trial in study.get_trials(states=(TrialState.WAITING,))}
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        name = trial.user_attrs.get(_FOLDER)
        if name is not None and name not in queued:
            study.enqueue_trial(trial.params, user_attrs={_FOLDER: name})
        study.tell(trial.number, state=TrialState.FAIL)


def _folders_taken(study: optuna.Study) -> int:
    return len({trial.user_attrs[_FOLDER] for trial in study.trials if _FOLDER in trial.user_attrs})


def _records(study: optuna.Study, space: SearchSpace) -> list[TrialRecord]:
    """The trials that ended; of a resumed one the last part."""
    latest = {trial.user_attrs[_FOLDER]: trial for trial in study.trials if _FOLDER in trial.user_attrs}
    return [_record(trial, space) for _, trial in sorted(latest.items()) if trial.state.is_finished()]


def _record(trial: optuna.trial.FrozenTrial, space: SearchSpace) -> TrialRecord:
    from optuna.trial import TrialState

    state = {TrialState.COMPLETE: FINISHED, TrialState.PRUNED: PRUNED}.get(trial.state, FAILED)
    errors = [trial.value] if trial.value is not None else list(trial.intermediate_values.values())
    values = space.values(trial.params)
    return TrialRecord(
        trial.user_attrs[_FOLDER], state, min(errors, default=None), values, trial.user_attrs.get(_MESSAGE, "")
    )


def _write_tables(folder: Path, records: list[TrialRecord], base: TrainingConfig) -> None:
    write_text(folder / "trials.md", trials_table(records) + "\n")
    best = best_trial(records)
    if best is not None:
        write_text(folder / "best.json", configured(base, best.values).to_json())


def _kept_plan(folder: Path, plan: SearchPlan | None) -> SearchPlan:
    """The folder's plan; a new folder keeps the given one."""
    path = folder / "search.json"
    if not path.exists():
        if plan is None:
            raise UsageError("holds no search to resume", source=str(folder), remedy="Give a search space.")
        space_from_dict(plan.space, plan.base, "space")
        require_place(folder, overwrite=True)
        write_text(path, json_text(_plan_as_dict(plan)))
        return plan
    kept = read_json(path, UsageError, "Search in another folder.")
    if plan is not None and kept != json.loads(json_text(_plan_as_dict(plan))):
        raise UsageError(
            "was begun with another space or other settings", source=str(path), remedy="Search in another folder."
        )
    try:
        base = TrainingConfig().replaced(kept["base"], source=str(path))
        return SearchPlan(kept["space"], base, kept["seed"])
    except (LookupError, TypeError) as error:
        raise UsageError("is not a search", source=str(path), remedy="Search in another folder.") from error


def _plan_as_dict(plan: SearchPlan) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "seed": plan.seed,
        "space": dict(plan.space),
        "base": json.loads(json.dumps(dataclasses.asdict(plan.base))),
    }


def _require_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError("the search needs Optuna", remedy="Install it: pip install optuna") from error


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
