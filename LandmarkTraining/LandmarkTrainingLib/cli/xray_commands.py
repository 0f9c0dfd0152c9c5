"""``autovolume xray``: train a network on sets of radiographs and print the measures of the published tables."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AutoVolumeCalibrationLib.core.errors import UsageError

from .early_checks import require_folders, require_settings
from .run_arguments import flags_named

if TYPE_CHECKING:
    from ..core.xray.xray_data import XrayRequest

#: Instead of a set: several of them, learnt by one network.
TOGETHER = "together"


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    xray = commands.add_parser("xray", description="Train and measure a model on labelled radiographs")
    names = ("cephalometric", "hand", "chest", "labelme", TOGETHER)
    xray.add_argument("benchmark", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    xray.add_argument(
        "images", nargs="+", metavar="FOLDER", help=f"the data set in its layout; of {TOGETHER} NAME=FOLDER for each"
    )
    xray.add_argument("--output", required=True, type=Path, metavar="RUN", help="run folder, with report.md at last")
    xray.add_argument("--recipe", default="gu2net", metavar="NAME", help="published network (default: gu2net)")
    xray.add_argument("--matrix", type=int, metavar="N", help="pixels per side that images are scaled to (512)")
    xray.add_argument("--annotator", metavar="NAME", help="reader of the points, or mean (cephalometric: senior)")
    for flag, what in (("train", "learn from"), ("watch", "choose the weights by"), ("test", "measure on")):
        xray.add_argument(
            f"--{flag}",
            action="append",
            default=[],
            metavar="NUMBERS",
            help=f"images to {what}, as 1-90,95,131- (default: as published); of {TOGETHER} NAME=NUMBERS",
        )
    xray.add_argument(
        "--suffix", action="append", default=[], metavar=".SUFFIX", help=f"of the images; of {TOGETHER} NAME=.SUFFIX"
    )
    xray.add_argument("--config", type=Path, metavar="FILE", help="JSON with settings that differ from the recipe's")
    xray.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, value as JSON")
    xray.add_argument("--resume", action="store_true", help="go on from the last checkpoint, on the same images")
    xray.set_defaults(run=run_xray)


def run_xray(arguments: argparse.Namespace) -> int:
    """``autovolume xray``: on a finished run with ``--resume`` only measures again."""
    if arguments.benchmark != TOGETHER:
        require_folders(map(Path, arguments.images))
    require_settings(arguments.set)

    from LandmarkTrainingLib.core.xray import xray_run

    with flags_named():
        text = xray_run.run_sets(
            arguments.output,
            _requests(arguments),
            method=arguments.recipe,
            matrix=arguments.matrix,
            config_file=arguments.config,
            settings=arguments.set,
            resume=arguments.resume,
            progress=_say,
        )
    print(text, end="")
    return 0


def _requests(arguments: argparse.Namespace) -> list[XrayRequest]:
    """The sets that the arguments name, with their splits."""
    from LandmarkTrainingLib.core.xray.xray_data import OWN_SPLITS, XrayRequest
    from LandmarkTrainingLib.core.xray.xray_published import SETS

    folders = _of_sets(arguments, arguments.images, "folder")
    chosen = {name: _of_sets(arguments, getattr(arguments, name), f"--{name}") for name in OWN_SPLITS}
    suffixes = _of_sets(arguments, arguments.suffix, "--suffix")
    for name in {*folders, *suffixes, *(each for values in chosen.values() for each in values)}:
        if name not in folders or name not in SETS:
            raise UsageError(f"{name} is not one of the sets", remedy=f"Name a FOLDER for each of {', '.join(SETS)}.")
    return [
        XrayRequest(
            *(name, Path(folder)),
            # Only heads have several readers where sets are learnt together.
            arguments.annotator if len(folders) == 1 or name == "cephalometric" else None,
            {split: values[name] for split, values in chosen.items() if name in values},
            suffixes.get(name, ""),
        )
        for name, folder in folders.items()
    ]


def _of_sets(arguments: argparse.Namespace, values: Sequence[str], what: str) -> dict[str, str]:
    """Set -> value, from one value of the set that is named, or from NAME=VALUE of each."""
    if arguments.benchmark == TOGETHER:
        pairs = [value.split("=", 1) for value in values]
        if any(len(pair) < 2 for pair in pairs):
            raise UsageError(f"{what}: {' '.join(values)} names no sets", remedy="Write NAME=VALUE, as hand=1-90.")
        return dict(pairs)
    if len(values) > 1:
        raise UsageError(f"{what} is given {len(values)} times", remedy=f"Give one, or learn the sets {TOGETHER}.")
    return {arguments.benchmark: values[0]} if values else {}


def _say(_step: int, _steps: int, line: Mapping[str, Any]) -> None:
    from ..core.runs.run_watch import step_text

    # Lengths in the log are pixels of the grid.
    print(step_text(line, "error", "pixels"), flush=True)
