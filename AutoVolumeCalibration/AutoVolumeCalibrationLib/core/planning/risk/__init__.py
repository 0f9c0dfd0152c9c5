"""How probable it is that a plan is wrong: what the plan shows, a small model of it, and what to say."""
