"""Plan with what is installed: the protocol that is named or that the scouts show, its model, and the other models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..anatomy.protocol import Protocol
from ..detection.landmark_model import LandmarkModel
from ..scouts.stack import ScoutStack
from ..workflow.calibration import Calibration
from ..workflow.checked_plan import with_automatic
from ..workflow.pipeline import calibrate
from . import bundle
from .anatomies import Loader, choose_anatomy, known_protocol, model_for, with_anatomy_checked


@dataclass(frozen=True, eq=False)
class Choice:
    """With which protocol and model scouts are planned.

    Attributes:
        automatic: nobody named the protocol.
        looked: the models of all installed anatomies looked at the scouts and decided; ``sure``: this one was sure.
    """

    protocol: Protocol
    model: LandmarkModel
    automatic: bool = False
    looked: bool = False
    sure: bool = True


def choose(
    stacks: Sequence[ScoutStack],
    protocol: Protocol | None = None,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    backend: str = "auto",
    load: Loader | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Choice:
    """The protocol and the loaded model for these scouts.

    Args:
        protocol: None: that of the named model's anatomy, or of the installed anatomy that the scouts show.
        model: name of a model or a bundle's folder; the default one of the protocol's anatomy when None.
        device, backend: as ``load_model`` takes them; load: it when None, or what keeps loaded models.
        cancelled: asked between batches of slices; True raises Cancelled.

    Raises:
        InputError: the scouts show none of the installed anatomies.
        ModelError, ProtocolError: a model or the protocol is missing or damaged.
    """
    load = load or bundle.load_model
    automatic = protocol is None
    protocol = protocol or known_protocol(model)
    if protocol is None:
        shown = choose_anatomy(stacks, device, backend, load, cancelled)
        return Choice(shown.candidate.protocol, shown.candidate.model, automatic, looked=True, sure=shown.sure)
    return Choice(protocol, load(model or model_for(protocol), device, backend), automatic)


def plan_chosen(
    stacks: Sequence[ScoutStack],
    choice: Choice,
    *,
    device: str = "auto",
    backend: str = "auto",
    load: Loader | None = None,
    cancelled: Callable[[], bool] | None = None,
    **options: Any,
) -> Calibration:
    """Find the landmarks and plan the box; where only one model has looked, the others may contradict it.

    Args:
        device, backend, load: of the other models, as ``choose`` takes them.
        cancelled: asked between batches of slices; True raises Cancelled.
        options: ``box``, ``corrections``, ``threshold`` and ``progress`` of ``pipeline.calibrate``.

    Raises:
        InputError: the scouts cannot be planned on.
        ModelError, ProtocolError: model, protocol and box do not fit, or the model fails on the device.
    """
    plan = calibrate(stacks, choice.protocol, choice.model, cancelled=cancelled, **options)
    if not choice.looked:
        plan = with_anatomy_checked(plan, choice.model, load or bundle.load_model, device=device, backend=backend)
    return with_automatic(plan, choice.automatic, not choice.sure)


def plan_with_installed(
    stacks: Sequence[ScoutStack],
    protocol: Protocol | None = None,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    backend: str = "auto",
    load: Loader | None = None,
    cancelled: Callable[[], bool] | None = None,
    **options: Any,
) -> Calibration:
    """``choose`` and ``plan_chosen``: as ``autovolume calibrate`` does with the same choices."""
    which: dict[str, Any] = {"device": device, "backend": backend, "load": load, "cancelled": cancelled}
    return plan_chosen(stacks, choose(stacks, protocol, model=model, **which), **which, **options)
