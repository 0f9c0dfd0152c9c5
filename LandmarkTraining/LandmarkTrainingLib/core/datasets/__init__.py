"""Data sets to train on: reading them, building them from a site's files, and checking them."""
