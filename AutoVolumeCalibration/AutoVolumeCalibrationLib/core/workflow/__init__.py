"""The steps composed, to be read first: ``pipeline.py``."""
