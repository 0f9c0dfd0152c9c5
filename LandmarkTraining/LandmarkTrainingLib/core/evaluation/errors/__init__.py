"""Errors of a plan that concern what is scanned: its slices, and the side and angle of a joint."""
