"""What stated uncertainties are worth: calibration of coverage over people, studies, report."""
