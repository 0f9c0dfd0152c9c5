"""Command line entry points, the same in plain Python and in Slicer."""
