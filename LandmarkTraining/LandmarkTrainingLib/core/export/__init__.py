"""Trained networks in other formats."""
