"""What ``Testing/benchmarks/hostile.py`` is made of: inputs, their mutations, and a process to try each in."""
