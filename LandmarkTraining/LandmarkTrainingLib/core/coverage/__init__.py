"""Calibration of stated uncertainties: coverage over subjects, simulated studies, report."""
