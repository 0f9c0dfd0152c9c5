"""Training: losses, optimisers, initial weights, the loop, and the export of the bundle."""
