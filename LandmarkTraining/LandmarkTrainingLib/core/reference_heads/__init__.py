"""Heads with known landmarks, their poses in the scanner, and the constellation measured from them."""
