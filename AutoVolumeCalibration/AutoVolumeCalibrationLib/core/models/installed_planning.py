"""Plan with what is installed: the protocol that is named or that the scouts show, its model, and the other models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..anatomy.protocol import Protocol
from ..scouts.stack import ScoutStack
from ..workflow.calibration import Calibration
from ..workflow.pipeline import calibrate, with_automatic
from .anatomies import automatic_protocol, model_for, with_anatomy_checked
from .bundle import load_model


def plan_with_installed(
    stacks: Sequence[ScoutStack],
    protocol: Protocol | None = None,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    backend: str = "auto",
    cancelled: Callable[[], bool] | None = None,
    **options: Any,
) -> Calibration:
    """Find the landmarks and plan the box, as ``autovolume calibrate`` does with the same choices.

    Args:
        protocol: None: that of the installed anatomy that the scouts show.
        model: name of a model or a bundle's folder; the default one of the protocol's anatomy when None.
        device, backend: as ``load_model`` takes them.
        cancelled: asked between batches of slices; True raises Cancelled.
        options: ``box``, ``corrections``, ``threshold`` and ``progress`` of ``pipeline.calibrate``.

    Raises:
        InputError: the scouts show none of the installed anatomies, or cannot be planned on.
        ModelError, ProtocolError: a model or the protocol is missing or damaged, or they do not fit.
    """
    automatic = protocol is None
    if protocol is None:
        protocol = automatic_protocol(stacks, model, device, backend, cancelled=cancelled)
    network = load_model(model or model_for(protocol), device, backend)
    plan = calibrate(stacks, protocol, network, cancelled=cancelled, **options)
    return with_automatic(with_anatomy_checked(plan, network, device=device, backend=backend), automatic)
