"""LandmarkTraining: from scouts with landmarks to a model bundle."""
