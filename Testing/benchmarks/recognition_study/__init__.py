"""What the recognition of anatomies is measured on, and how its limits follow from the scores."""
