"""``autovolume train``, ``finetune`` and ``ablation``: runs that end with a bundle, and runs that are compared."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from LandmarkTrainingLib.core.training_data import DataFolders


def register(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    train = commands.add_parser("train", help="train a landmark network")
    _add_run_arguments(train)
    train.set_defaults(run=run_train)
    finetune = commands.add_parser("finetune", help="go on training a model with your own cases")
    finetune.add_argument("--model", metavar="NAME|DIR", help="where to start (default: the model in use)")
    _add_run_arguments(finetune)
    finetune.set_defaults(run=run_finetune)
    ablation = commands.add_parser("ablation", help="train variants on the same images and compare them on real heads")
    ablation.add_argument("plan", type=Path, metavar="PLAN.json", help="variants of one configuration, and seeds")
    ablation.add_argument("--labels", required=True, type=Path, metavar="DIR", help="label maps to learn from")
    ablation.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder with heads.csv to measure on")
    ablation.add_argument("--output", required=True, type=Path, metavar="DIR", help="runs (resumed) and report.md")
    ablation.set_defaults(run=run_ablation)


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", required=True, type=Path, metavar="RUN", help="run folder, with RUN/bundle at last")
    parser.add_argument(
        "--dataset", action="append", type=Path, default=[], metavar="DIR", help="data set (repeatable)"
    )
    parser.add_argument("--validation", type=Path, metavar="DIR", help="data set to watch the error on, never learnt")
    parser.add_argument("--labels", type=Path, metavar="DIR", help="label maps to simulate scouts from")
    parser.add_argument("--volumes", type=Path, metavar="DIR", help="real volumes of split train (heads.csv)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="JSON with settings that differ from the defaults")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, value as JSON")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint, with the same data")


def run_train(arguments: argparse.Namespace) -> int:
    """``autovolume train``: ends with the run's bundle; on a finished run only exports it again."""
    return _run(arguments, None)


def run_finetune(arguments: argparse.Namespace) -> int:
    """``autovolume finetune``: a run that starts from a model's weights and its settings."""
    from AutoVolumeCalibrationLib.core.user_models import default_model_name

    return _run(arguments, arguments.model or default_model_name())


def _run(arguments: argparse.Namespace, base: str | None) -> int:
    from LandmarkTrainingLib.core.training_run import run_training

    bundle = run_training(
        arguments.output,
        _folders(arguments),
        base=base,
        config_file=arguments.config,
        settings=arguments.set,
        resume=arguments.resume,
        progress=_say,
    )
    print(f"bundle in {bundle}")
    return 0


def _folders(arguments: argparse.Namespace) -> DataFolders | None:
    """The named data; None where none are, as on a resume."""
    from LandmarkTrainingLib.core.training_data import DataFolders

    folders = DataFolders(arguments.labels, arguments.volumes, tuple(arguments.dataset), arguments.validation)
    return None if folders == DataFolders() else folders


def _say(step: int, steps: int, line: Mapping[str, Any]) -> None:
    error, left = line["check_median_mm"], line["seconds_left"]
    text = f"step {step} of {steps}: loss {line['loss']:.3f}, in-plane error {error:.2f} mm, {left / 60:.0f} min left"
    print(text, flush=True)


def run_ablation(arguments: argparse.Namespace) -> int:
    """``autovolume ablation``."""
    from AutoVolumeCalibrationLib.core.protocols import load_protocol
    from AutoVolumeCalibrationLib.core.whole_files import write_text
    from LandmarkTrainingLib.core import ablation
    from LandmarkTrainingLib.core.ablation_report import report
    from LandmarkTrainingLib.core.slice_measurement import real_slices

    plan = ablation.read_plan(arguments.plan)
    constellation = load_protocol(plan.base.protocol).constellation
    slices = real_slices(arguments.data, "validation", constellation)
    outcomes = ablation.run_ablation(
        plan, arguments.labels, arguments.data, slices, arguments.output, say=lambda text: print(text, flush=True)
    )
    text = report(plan, outcomes, slices, len(constellation.names))
    write_text(arguments.output / "report.md", text)
    print(text)
    return 0
