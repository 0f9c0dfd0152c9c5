"""Python packages that the steps of the panel need: two small ones to plan by hand, ONNX Runtime for the network."""

from __future__ import annotations

from slicer.i18n import tr as _

from .shared.dependencies import Requirements

_MODULE = "AutoVolumeCalibration"

PLANNING = Requirements(_MODULE, "requirements.txt")
NETWORK = Requirements(_MODULE, "requirements-network.txt")
TORCH = Requirements(_MODULE, "requirements-torch.txt")
PICTURE = Requirements(_MODULE, "requirements-picture.txt")


def network_of(model: str | None, device: str) -> Requirements:
    """What runs a model on a device; PLANNING must be installed.

    Args:
        model: a name or a bundle's folder; None for the default ones of all anatomies, which look at the scouts.

    Raises:
        ModelError: a bundle is unknown or damaged.
    """
    from ..core.models.bundle import read_metadata, why_without_graph
    from ..core.models.store import default_models, model_folder

    names = [model] if model else default_models().values()
    if device in ("cuda", "mps") or any(why_without_graph(read_metadata(model_folder(name))) for name in names):
        return TORCH
    return NETWORK


def first_run_text() -> str:
    """What the first Calibrate will download, empty where everything is installed."""
    if not NETWORK.missing():
        return ""
    return _(
        "The first calibration installs ONNX Runtime: about 30 MB, a few seconds. "
        "Placing points by hand does not need it."
    )
