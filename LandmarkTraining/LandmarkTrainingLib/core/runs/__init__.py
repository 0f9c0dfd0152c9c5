"""A run from its data to its bundle: folders, processes, logs, recipes, export."""
