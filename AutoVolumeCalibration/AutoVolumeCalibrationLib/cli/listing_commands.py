"""``models`` and ``protocols``: list what to choose from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from .console import say


def register(commands: argparse._SubParsersAction) -> None:
    """Add both commands."""
    models = commands.add_parser("models", description="List the models")
    models.set_defaults(run=run_models)
    protocols = commands.add_parser("protocols", description="List the protocols and their boxes")
    protocols.set_defaults(run=run_protocols)


def run_models(_arguments: argparse.Namespace) -> int:
    """``autovolume models``."""
    from ..core.models.bundle import is_guided, list_models
    from ..core.models.store import default_models

    default_of = {name: anatomy for anatomy, name in default_models().items()}
    for metadata in list_models():
        anatomy = default_of.get(metadata["name"])
        default = _default_text(anatomy) if anatomy else ""
        guided = ", guided by the landmarks that you place" if is_guided(metadata) else ""
        landmarks = f"{len(metadata['landmarks'])} landmarks{guided}"
        say(f"{metadata['name']}{default}: {metadata['title']}, {landmarks}; runs with {backends_text(metadata)}")
    return 0


def _default_text(anatomy: str) -> str:
    from ..core.models.store import DEFAULT_ANATOMY

    return " (default)" if anatomy == DEFAULT_ANATOMY else f" (default of {anatomy})"


def backends_text(metadata: Mapping[str, Any]) -> str:
    """What can run the network of a bundle with this metadata."""
    from ..core.models.bundle import why_without_graph

    reason = why_without_graph(metadata)
    return f"PyTorch only: {reason}" if reason else "ONNX Runtime or PyTorch"


def run_protocols(_arguments: argparse.Namespace) -> int:
    """``autovolume protocols``."""
    from ..core.models.anatomies import usable_protocols

    for protocol in usable_protocols():
        say(f"{protocol.name}: {protocol.title}")
        for box in protocol.boxes:
            say(f"    {box.name}: {box.title}")
    return 0
