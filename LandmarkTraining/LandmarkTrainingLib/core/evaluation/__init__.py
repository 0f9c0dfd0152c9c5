"""How good a model is: cases with known truth, errors by stage, reports, what stated uncertainties are worth."""
