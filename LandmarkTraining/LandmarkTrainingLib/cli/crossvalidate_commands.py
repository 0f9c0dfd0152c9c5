"""``autovolume crossvalidate``: measure a training on unseen subjects."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .early_checks import require_sound_flags
from .run_arguments import SETTINGS, add_run_arguments, chosen_settings


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "crossvalidate", description="Cross-validate: train without some people, measure on them"
    )
    parser.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="folds (resumed), crossvalidation.json and report.md"
    )
    folds = parser.add_mutually_exclusive_group()
    folds.add_argument("--folds", type=int, metavar="K", help="groups of subjects (default: 5, or as many as subjects)")
    folds.add_argument("--leave-one-out", action="store_true", help="one fold per subject")
    add_run_arguments(parser, "dataset", "labels", "model", *SETTINGS)
    parser.set_defaults(run=run_cross_validation)


def run_cross_validation(arguments: argparse.Namespace) -> int:
    """``autovolume crossvalidate``: the same command resumes an interrupted one."""
    require_sound_flags(arguments)
    from AutoVolumeCalibrationLib.core.errors import UsageError

    from ..core.experiments.cross_validation import CrossValidationPlan, cross_validate
    from ..core.experiments.cross_validation_report import REPORT_FILE, write_cross_validation
    from ..core.experiments.search_trial import base_configuration

    config = base_configuration(arguments.model, arguments.config, chosen_settings(arguments))
    if not arguments.dataset:
        raise UsageError("no data are named that could be split into folds", remedy="Give --dataset.")
    plan = CrossValidationPlan(
        config, tuple(arguments.dataset), arguments.labels, arguments.folds, arguments.leave_one_out
    )
    folds = cross_validate(plan, arguments.output, progress=_say)
    print(write_cross_validation(arguments.output, folds, config.base))
    print(f"written {arguments.output / REPORT_FILE}")
    return 0


def _say(fold: int, folds: int, step: int, steps: int, line: Mapping[str, Any]) -> None:
    left = line["seconds_left"] / 60
    print(f"fold {fold} of {folds}, step {step} of {steps}: loss {line['loss']:.4g}, {left:.0f} min left", flush=True)
