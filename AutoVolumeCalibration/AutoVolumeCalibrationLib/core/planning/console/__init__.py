"""The plan as the fields of each vendor's console, in the vendor's order, words, units and signs."""
