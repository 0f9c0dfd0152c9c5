"""The geometry of a plan for open scanners, simulators, navigation and image software."""
