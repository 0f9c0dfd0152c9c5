"""Model bundles: loading them, and the models that the user installed."""
