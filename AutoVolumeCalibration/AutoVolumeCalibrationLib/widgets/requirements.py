"""Python packages that the steps of the panel need: two small ones to plan by hand, torch only for the network."""

from __future__ import annotations

from slicer.i18n import tr as _

from .shared.dependencies import Requirements

_MODULE = "AutoVolumeCalibration"

PLANNING = Requirements(_MODULE, "requirements.txt")
NETWORK = Requirements(_MODULE, "requirements-network.txt")
PICTURE = Requirements(_MODULE, "requirements-picture.txt")


def first_run_text() -> str:
    """What the first Calibrate will download, empty where everything is installed."""
    if not NETWORK.missing():
        return ""
    return _(
        "The first calibration installs PyTorch and MONAI: about 0.3 GB, with an NVIDIA card up to 3 GB, "
        "a few minutes. Placing points by hand needs none of it."
    )
