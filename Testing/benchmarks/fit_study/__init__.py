"""Parts of ``fit_variants.py``: what follows the network, measured variant by variant."""
