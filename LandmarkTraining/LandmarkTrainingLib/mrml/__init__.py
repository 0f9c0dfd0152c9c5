"""Training data in the MRML scene; the scene is always an argument."""
