"""What clinical scouts show besides a healthy head: changes of the anatomy and effects of the scanner."""
