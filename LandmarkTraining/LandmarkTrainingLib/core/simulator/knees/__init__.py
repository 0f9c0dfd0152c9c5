"""Random knees from one labelled knee, the SPL atlas.

atlas.py (its tissues) -> shapes.py (a shape from the measured constellation) -> deformation.py (the atlas in that
shape, bent, its shafts extended) -> soft_tissue.py (fat and skin) -> label_maps.py (files to simulate slices from).
"""
