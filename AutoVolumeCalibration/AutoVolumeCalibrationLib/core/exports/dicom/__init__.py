"""DICOM objects of a plan, in the study of its scouts."""
