"""Scouts -> landmarks -> frame -> box -> prescription. To be read first: ``workflow/pipeline.py``."""
