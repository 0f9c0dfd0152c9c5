"""What a comparison of networks needs besides training: costs, rates, intervals over people and seeds, curves."""
