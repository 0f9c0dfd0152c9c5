"""The sample study degraded, and what a model makes of it, as pictures."""
