"""What a simulated anatomy looks like: its tissues with their contrasts, and where its slices lie."""
