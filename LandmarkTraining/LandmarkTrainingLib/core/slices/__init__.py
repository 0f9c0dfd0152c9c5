"""Training slices and their targets: sources, batches, augmentation, targets."""
