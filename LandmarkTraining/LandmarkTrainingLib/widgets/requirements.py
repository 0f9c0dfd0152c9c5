"""Python packages that the steps of the window need: small ones to read data, torch only to train."""

from __future__ import annotations

from AutoVolumeCalibrationLib.widgets.shared.dependencies import Requirements

_MODULE = "LandmarkTraining"

READING = Requirements(_MODULE, "requirements.txt")
TRAINING = Requirements(_MODULE, "requirements-training.txt")
