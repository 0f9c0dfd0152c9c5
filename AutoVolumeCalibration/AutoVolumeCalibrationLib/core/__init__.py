"""Scouts -> landmarks -> frame -> box -> prescription, on numpy and scipy alone."""
