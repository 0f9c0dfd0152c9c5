"""A study that the user corrects, in the Slicer panel or in a browser: undo, and observers that follow the mouse."""
