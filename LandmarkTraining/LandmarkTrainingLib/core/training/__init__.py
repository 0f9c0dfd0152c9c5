"""What learns and how: losses, optimisers, weights to start from, the loop, the look at the error."""
