"""Search agents: what they are rewarded for, what they remember, and how they learn (Ghesu 2019)."""
