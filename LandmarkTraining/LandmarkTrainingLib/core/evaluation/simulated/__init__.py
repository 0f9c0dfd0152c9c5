"""Planning methods measured on simulated scouts of label maps, whose truth is known exactly."""
