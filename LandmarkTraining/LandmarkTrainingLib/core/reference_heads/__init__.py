"""Heads whose landmarks are known, where they lie in the scanner, and the typical head that they make."""
