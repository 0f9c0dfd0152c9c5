"""The fit of the anatomical frame: its parts, in the order pose, robust fit, prediction, result."""
