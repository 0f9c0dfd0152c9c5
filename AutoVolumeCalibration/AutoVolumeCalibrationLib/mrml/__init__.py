"""Calibrations as MRML nodes; the scene is always an argument."""
