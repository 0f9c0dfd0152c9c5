"""``autovolume train``, ``finetune`` and ``ablation``: runs that end with a bundle, and runs that are compared."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .early_checks import require_sound_run
from .run_arguments import DATA, SETTINGS, add_run_arguments, chosen_settings, flags_named, named_folders


def register(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    train = commands.add_parser("train", description="Train a landmark model from scratch")
    _add_arguments(train)
    train.set_defaults(run=run_train)
    finetune = commands.add_parser("finetune", description="Fine-tune a model on your own cases")
    finetune.add_argument(
        "--model",
        metavar="NAME|DIR",
        help="where to start (default: the model in use that knows most of the protocol's landmarks)",
    )
    _add_arguments(finetune)
    finetune.set_defaults(run=run_finetune)
    ablation = commands.add_parser("ablation", description="Train variants of one configuration and compare them")
    ablation.add_argument("plan", type=Path, metavar="PLAN.json", help="variants of one configuration, and seeds")
    ablation.add_argument("--labels", required=True, type=Path, metavar="DIR", help="label maps to learn from")
    ablation.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder with heads.csv to measure on")
    ablation.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="runs (resumed), report.md, curves.png"
    )
    ablation.add_argument("--report-only", action="store_true", help="only report what is measured so far")
    ablation.set_defaults(run=run_ablation)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", required=True, type=Path, metavar="RUN", help="run folder, with RUN/bundle at last")
    add_run_arguments(parser, *DATA, *SETTINGS)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint, with the same data")


def run_train(arguments: argparse.Namespace) -> int:
    """``autovolume train``: ends with the run's bundle; on a finished run only exports it again."""
    require_sound_run(arguments)
    return _run(arguments, None)


def run_finetune(arguments: argparse.Namespace) -> int:
    """``autovolume finetune``: a run that starts from a model's weights and its settings."""
    require_sound_run(arguments)
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol

    from ..core.runs.base_model import base_model, nearest_model
    from ..core.runs.run_request import settings_from_text
    from ..core.training.training_run import named_protocol

    with flags_named():
        settings = settings_from_text("\n".join(arguments.set))
        named = arguments.protocol or named_protocol(arguments.config, settings)
    if arguments.model or not named:
        return _run(arguments, arguments.model or base_model(None))
    names = load_protocol(named).constellation.names
    base, known = nearest_model(names)
    print(f"starts from {base}, which knows {known} of the {len(names)} landmarks", flush=True)
    return _run(arguments, base)


def _run(arguments: argparse.Namespace, base: str | None) -> int:
    from ..core.joint.joint_run import run_training_or_joint
    from ..core.training.training_data import DataFolders

    folders = named_folders(arguments)
    with flags_named():
        bundle = run_training_or_joint(
            arguments.output,
            # A resumed run keeps its data.
            None if folders == DataFolders() else folders,
            base=base,
            config_file=arguments.config,
            settings=chosen_settings(arguments),
            resume=arguments.resume,
            progress=_say,
        )
    print(f"bundle in {bundle}")
    return 0


def _say(step: int, steps: int, line: Mapping[str, Any]) -> None:
    from ..core.runs.run_watch import step_text

    _print(step_text(line, "in-plane error", "mm"))
    if step == steps:
        _print("all steps done; writing the bundle. With label maps its uncertainty is measured, which takes minutes")


def run_ablation(arguments: argparse.Namespace) -> int:
    """``autovolume ablation``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol

    from ..core.evaluation.slice_measurement import real_slices
    from ..core.experiments import ablation
    from ..core.experiments.ablation_report import write_report
    from ..core.experiments.ablations.plan import read_plan

    plan = read_plan(arguments.plan)
    slices = real_slices(arguments.data, "validation", load_protocol(plan.base.protocol).constellation)
    if not arguments.report_only:
        ablation.run_ablation(plan, arguments.labels, arguments.data, slices, arguments.output, say=_print)
    print(write_report(plan, ablation.measured_outcomes(plan, arguments.output), slices, arguments.output))
    return 0


def _print(text: str) -> None:
    print(text, flush=True)
