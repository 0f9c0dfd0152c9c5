"""Simulated scouts, training, evaluation and bundle export. No Slicer here."""
