"""Did the head move between the stacks: a rigid offset for each, from the images where their slices cross."""
