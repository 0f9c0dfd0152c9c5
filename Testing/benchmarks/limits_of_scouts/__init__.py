"""What a planning model can bear: conditions of scanning, cases, tables and pictures of ``benchmarks/limits.py``."""
