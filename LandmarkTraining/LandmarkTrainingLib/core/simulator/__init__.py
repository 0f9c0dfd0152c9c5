"""Thick-slice scouts of random heads in random poses with random contrast, and where their landmarks lie.

label_heads.py (anatomy) -> pose.py (where it lies) -> slice_planes.py (where it is cut) -> tissues.py (how it looks) ->
render.py (thick slices) -> scanner_effects.py (what the scanner adds). After SynthSeg (Billot et al. 2023,
arXiv:2107.09559): landmarks move with the anatomy, so the labels are exact.
"""
