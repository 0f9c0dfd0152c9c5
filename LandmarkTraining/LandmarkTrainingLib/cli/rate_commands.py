"""``autovolume find-rate``: find the learning rate at which a training's loss falls the fastest."""

from __future__ import annotations

import argparse
from pathlib import Path

from .early_checks import require_sound_flags
from .run_arguments import DATA, SETTINGS, add_run_arguments, chosen_settings, required_folders


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser("find-rate", description="Suggest a learning rate from a range test on your data")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="range.png and range.json")
    add_run_arguments(parser, "model", *DATA, *SETTINGS)
    parser.add_argument("--lowest", type=float, default=1e-6, metavar="RATE", help="first rate (default: 1e-6)")
    parser.add_argument("--highest", type=float, default=1.0, metavar="RATE", help="last rate (default: 1)")
    parser.add_argument("--steps", type=int, default=100, help="batches, each at a higher rate (default: 100)")
    parser.set_defaults(run=run_find_rate)


def run_find_rate(arguments: argparse.Namespace) -> int:
    """``autovolume find-rate``: writes a picture and the numbers only."""
    require_sound_flags(arguments)
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol

    from ..core.experiments.search_trial import base_configuration
    from ..core.training.lr_range_run import try_rates, write_range
    from ..core.training.training_data import load_training_data

    folders = required_folders(arguments)
    config = base_configuration(arguments.model, arguments.config, chosen_settings(arguments))
    data = load_training_data(folders, config, load_protocol(config.protocol).constellation)
    test = try_rates(config, data, lowest=arguments.lowest, highest=arguments.highest, steps=arguments.steps)
    picture, _ = write_range(arguments.output, test, config)
    print(f"the loss falls the fastest at {test.suggestion:.1e}: train with --set learning_rate={test.suggestion:.1e}")
    print(f"written {picture}")
    return 0
