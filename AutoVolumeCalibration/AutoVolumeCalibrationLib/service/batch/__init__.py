"""What a batch reads and writes: the manifest, the earlier results, the table of outcomes."""
