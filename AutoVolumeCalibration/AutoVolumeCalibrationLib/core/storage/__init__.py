"""What is written and read back: results, markups, data sets."""
