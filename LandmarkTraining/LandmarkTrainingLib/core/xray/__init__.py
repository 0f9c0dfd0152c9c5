"""The published X-ray benchmarks: reading, training, the measures of the papers."""
