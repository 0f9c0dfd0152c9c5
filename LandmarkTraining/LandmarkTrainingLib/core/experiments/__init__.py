"""Experiments: comparisons of models, cross-validation, ablations, searches, promotion."""
