"""Losses of the user's own: the one place where training executes a file that a user names."""
