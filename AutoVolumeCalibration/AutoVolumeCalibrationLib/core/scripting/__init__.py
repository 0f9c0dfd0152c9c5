"""What ``AutoVolumeCalibrationLib.api`` hands to scripts and notebooks."""
