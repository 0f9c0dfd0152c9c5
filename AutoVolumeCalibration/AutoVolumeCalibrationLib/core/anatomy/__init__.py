"""Anatomy as data: landmarks, the reference constellation, protocols."""
