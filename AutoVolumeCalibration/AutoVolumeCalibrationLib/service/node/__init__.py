"""A DICOM node: images in, kept safely; the localizer planned; results out, once each. Also for a watched folder."""
