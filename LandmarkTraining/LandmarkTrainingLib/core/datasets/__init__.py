"""Data sets to train on: reading them, making them from what a site has, and checking them."""
