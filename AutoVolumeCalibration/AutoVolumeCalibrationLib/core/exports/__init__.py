"""Finished plans in the forms that archives, scanners and other programs take."""
