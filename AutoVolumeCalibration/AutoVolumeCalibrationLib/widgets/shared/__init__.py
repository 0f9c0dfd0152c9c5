"""What the panels of both modules share. LandmarkTraining may import this sub-package, and no other widgets."""
