"""Scout slices and stacks: reading DICOM and images, grouping, checking."""
