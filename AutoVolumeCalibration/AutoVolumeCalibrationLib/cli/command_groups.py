"""The commands in groups, as ``autovolume --help`` lists them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

#: Title of a group -> names of its commands, in reading order. A new command needs its place here.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Plan": ("calibrate", "check", "refit", "view", "protocols"),
    "Department": ("batch", "serve", "watch", "export", "import-sr"),
    "Data": ("anatomy", "protocol", "dataset", "render", "knees"),
    "Train": ("train", "finetune", "find-rate", "search", "ablation", "xray"),
    "Measure": ("evaluate", "compare", "crossvalidate", "coverage", "risk", "inspect"),
    "Models": ("models", "export-onnx", "promote", "roll-back"),
}

_NAME_WIDTH = max(len(name) for names in GROUPS.values() for name in names)


def grouped_commands(parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    """One line for each command under the title of its group; groups without a command are left out.

    Args:
        parsers: command name -> its parser, whose description becomes the line.
    """
    blocks = []
    for title, names in GROUPS.items():
        lines = [f"  {name:<{_NAME_WIDTH}}  {parsers[name].description}" for name in names if name in parsers]
        if lines:
            blocks.append("\n".join([f"{title}:", *lines]))
    return "\n\n".join(blocks)
