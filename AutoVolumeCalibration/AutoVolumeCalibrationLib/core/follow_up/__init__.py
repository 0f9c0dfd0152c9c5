"""The same box at every visit: the scouts of a follow-up registered onto those of the baseline."""
