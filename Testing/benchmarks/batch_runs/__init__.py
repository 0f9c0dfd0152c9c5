"""The runs that ``batch_speed.py`` compares: studies that differ, the bare call, the engine, and the report."""
