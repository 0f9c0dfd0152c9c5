"""Calibration of the risk of a plan: simulated studies, what the plans show, the fit and its reliability."""
