"""Training data from and to the scene; the scene is always an argument."""
