"""``autovolume search``: search for better settings, one training after the other."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .early_checks import require_sound_flags
from .run_arguments import DATA, SETTINGS, add_run_arguments, at_least, chosen_settings, flags_named, named_folders

if TYPE_CHECKING:
    from ..core.experiments.search import SearchPlan, TrialRecord


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    search = commands.add_parser("search", description="Search for better training settings")
    search.add_argument("--output", required=True, type=Path, metavar="DIR", help="trials (resumed), best.json")
    search.add_argument("--space", type=Path, metavar="FILE", help="JSON: setting -> list or {low, high, log, step}")
    search.add_argument(
        "--trials", type=at_least(1), default=20, help="in all, with those of earlier calls (default: 20)"
    )
    add_run_arguments(search, "model", *DATA, *SETTINGS)
    search.add_argument("--seed", type=at_least(0), default=0, help="of the values drawn (default: 0)")
    search.set_defaults(run=run_search)


def run_search(arguments: argparse.Namespace) -> int:
    """``autovolume search``: the same ``--output`` and data resume an interrupted search."""
    require_sound_flags(arguments)
    from ..core.experiments.search import best_trial, search, trials_table
    from ..core.experiments.search_trial import kept_folders, trial_training

    settings = chosen_settings(arguments)
    plan = _plan(arguments, settings) if arguments.space else None
    with flags_named():
        training = trial_training(kept_folders(arguments.output, named_folders(arguments)))
    records = search(arguments.output, training, arguments.trials, plan, progress=_say)
    print(trials_table(records))
    best = best_trial(records)
    if best is not None:
        print(f"best: trial {best.name}, {best.error_mm:.2f} mm. Train with --config {arguments.output / 'best.json'}")
    return 0


def _plan(arguments: argparse.Namespace, settings: list[str]) -> SearchPlan:
    from ..core.experiments.search import SearchPlan
    from ..core.experiments.search_space import read_space
    from ..core.experiments.search_trial import base_configuration

    base = base_configuration(arguments.model, arguments.config, settings)
    return SearchPlan(read_space(arguments.space, base), base, arguments.seed)


def _say(record: TrialRecord) -> None:
    error = "-" if record.error_mm is None else f"{record.error_mm:.2f} mm"
    print(f"trial {record.name} {record.state}: {error}", flush=True)
