"""The overview picture of a calibration."""
