"""Which of several is better: comparisons, folds, ablations, searches, promotion, and what a difference is worth."""
