"""One network for several anatomies: their data, the run, and a bundle for each."""
