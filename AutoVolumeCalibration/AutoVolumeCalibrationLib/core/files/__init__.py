"""Files of the project: resources, JSON, atomic writing, output folders."""
