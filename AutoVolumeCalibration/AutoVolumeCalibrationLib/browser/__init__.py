"""One plan in a web browser, in Slicer's own slice views; needs the extra ``browser``, loaded by its command only."""
