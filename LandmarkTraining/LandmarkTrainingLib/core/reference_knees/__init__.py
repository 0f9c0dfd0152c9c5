"""Knees with landmarks found in their label maps by rules, and the constellation measured from them."""
