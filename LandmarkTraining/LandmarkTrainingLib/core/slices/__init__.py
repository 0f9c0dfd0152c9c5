"""Training slices and what a network should answer on them: sources, batches, augmentation, targets."""
