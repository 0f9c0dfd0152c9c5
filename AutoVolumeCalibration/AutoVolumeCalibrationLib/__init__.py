"""AutoVolumeCalibration: from three-plane MRI scouts to an oriented scan box."""

__version__ = "0.1.0"
