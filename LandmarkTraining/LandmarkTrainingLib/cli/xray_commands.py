"""``autovolume xray``: train a network on a public X-ray benchmark and print the measures of its published tables."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .run_arguments import flags_named


def register(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    xray = commands.add_parser("xray", description="Train and measure a model on a public X-ray benchmark")
    xray.add_argument("benchmark", choices=("cephalometric", "hand", "chest"))
    xray.add_argument("images", type=Path, metavar="FOLDER", help="the data set in its published layout")
    xray.add_argument("--output", required=True, type=Path, metavar="RUN", help="run folder, with report.md at last")
    xray.add_argument("--recipe", default="gu2net", metavar="NAME", help="published network (default: gu2net)")
    xray.add_argument("--matrix", type=int, metavar="N", help="pixels per side that images are scaled to (512)")
    xray.add_argument("--annotator", choices=("senior", "junior", "mean"), help="of cephalometric images (senior)")
    xray.add_argument("--config", type=Path, metavar="FILE", help="JSON with settings that differ from the recipe's")
    xray.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, value as JSON")
    xray.add_argument("--resume", action="store_true", help="go on from the last checkpoint, on the same images")
    xray.set_defaults(run=run_xray)


def run_xray(arguments: argparse.Namespace) -> int:
    """``autovolume xray``: on a finished run with ``--resume`` only measures again."""
    from LandmarkTrainingLib.core.xray import xray_run

    with flags_named():
        text = xray_run.run_xray(
            arguments.output,
            arguments.benchmark,
            arguments.images,
            method=arguments.recipe,
            matrix=arguments.matrix,
            annotator=arguments.annotator,
            config_file=arguments.config,
            settings=arguments.set,
            resume=arguments.resume,
            progress=_say,
        )
    print(text, end="")
    return 0


def _say(_step: int, _steps: int, line: Mapping[str, Any]) -> None:
    from ..core.runs.run_watch import step_text

    # Lengths in the log are pixels of the grid.
    print(step_text(line, "error", "pixels"), flush=True)
