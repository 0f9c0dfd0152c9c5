"""The commands of LandmarkTraining: ``render``, and those of the files beside this one.

A command imports its implementation when it runs, so that registering it costs nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import (
    anatomy_command,
    compare_commands,
    coverage_commands,
    crossvalidate_commands,
    dataset_commands,
    evaluate_command,
    inspect_commands,
    knee_commands,
    new_anatomy_commands,
    rate_commands,
    search_commands,
    training_commands,
    xray_commands,
)
from .run_arguments import at_least


def register(commands: argparse._SubParsersAction) -> None:
    """Add the commands."""
    _register_render(commands)
    training_commands.register(commands)
    dataset_commands.register(commands)
    evaluate_command.register(commands)
    coverage_commands.register(commands)
    compare_commands.register(commands)
    search_commands.register(commands)
    crossvalidate_commands.register(commands)
    rate_commands.register(commands)
    inspect_commands.register(commands)
    xray_commands.register(commands)
    anatomy_command.register(commands)
    knee_commands.register(commands)
    new_anatomy_commands.register(commands)


def _register_render(commands: argparse._SubParsersAction) -> None:
    render = commands.add_parser("render", description="Simulate scout studies with exactly known landmarks")
    source = render.add_mutually_exclusive_group(required=True)
    source.add_argument("--labels", type=Path, metavar="DIR", help="label maps: random contrast, pose and shape")
    source.add_argument("--volumes", type=Path, metavar="DIR", help="real volumes (heads.csv): random poses")
    render.add_argument("--protocol", default="BrainAcPc", metavar="NAME|FILE", help="whose landmarks, of label maps")
    render.add_argument("--split", default="train", choices=("train", "validation"), help="of the volumes")
    render.add_argument("--output", required=True, type=Path, metavar="DIR")
    render.add_argument("--count", type=at_least(1), default=10, help="studies (default: 10)")
    render.add_argument("--slices", type=at_least(1), default=5, help="per plane (default: 5)")
    render.add_argument("--seed", type=at_least(0), default=0)
    render.set_defaults(run=run_render)


def run_render(arguments: argparse.Namespace) -> int:
    """``autovolume render``."""
    from AutoVolumeCalibrationLib.core.anatomy.protocol_file import load_protocol
    from AutoVolumeCalibrationLib.core.scouts.volume import ScoutGeometry
    from AutoVolumeCalibrationLib.core.storage.dataset import write_dataset

    from ..core.simulator import study_rendering as rendering

    constellation = load_protocol(arguments.protocol).constellation
    geometry = ScoutGeometry(slices=arguments.slices)
    if arguments.labels:
        studies = rendering.studies_of_labels(
            arguments.labels, constellation, geometry, arguments.count, arguments.seed
        )
    else:
        studies = rendering.studies_of_volumes(
            arguments.volumes, arguments.split, constellation, geometry, arguments.count, arguments.seed
        )
    written = write_dataset(arguments.output, studies, constellation)
    print(f"{written} studies in {arguments.output}")
    return 0
