"""Simulated scouts, training, evaluation and bundle export. Independent of Slicer."""
