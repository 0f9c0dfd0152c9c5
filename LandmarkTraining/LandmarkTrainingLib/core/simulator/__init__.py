"""Thick-slice scouts of random heads in random poses with random contrast, and the positions of their landmarks.

label_heads.py (anatomy) -> pose.py (its pose) -> slice_planes.py (the slices) -> tissues.py (contrast) ->
render.py (thick slices) -> scanner_effects.py (artefacts and noise). After SynthSeg (Billot et al. 2023,
arXiv:2107.09559): landmarks move with the anatomy, so the labels are exact.
"""
