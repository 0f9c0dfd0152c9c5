"""Run studies on workers that may die: limits, claims, counted attempts. Knows nothing of planning."""
