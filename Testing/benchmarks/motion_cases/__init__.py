"""Parts of the benchmark of motion between stacks (``Testing/benchmarks/motion.py``)."""
